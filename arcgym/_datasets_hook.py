"""Make `datasets.load_dataset("arcgym")` work after `import arcgym`, without importing `datasets`.

Importing `datasets` takes a second that most uses of arcgym do not need. So this module, which needs only the standard
library, patches `datasets.load` and `datasets.inspect` if they are loaded already, and otherwise waits at the import
system until they are. What is answered is in `arcgym.data.registration`.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_TARGETS = ("datasets.load", "datasets.inspect")


def install() -> None:
    """Patch the modules of `datasets` that are loaded, and watch for the others. Doing so twice changes nothing."""
    for name in _TARGETS:
        if name in sys.modules:
            _patch(sys.modules[name])
    if not all(name in sys.modules for name in _TARGETS) and not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the two modules as the other finders do, and has them patched right after they were executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _TARGETS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            # On the loader itself, not on a wrapper: `inspect` and `linecache` ask the module's loader for its source.
            spec.loader.exec_module = _then_patch(spec.loader.exec_module)  # type: ignore
        return spec


def _then_patch(exec_module: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def exec_and_patch(module: ModuleType) -> None:
        exec_module(module)
        _patch(module)

    return exec_and_patch


def _patch(module: ModuleType) -> None:
    """Let the module's `dataset_module_factory` answer the name "arcgym" itself."""
    original = module.dataset_module_factory
    if hasattr(original, "_serves_arcgym"):
        return
    signature = inspect.signature(original)

    @functools.wraps(original)
    def dataset_module_factory(path: str, *args: Any, **kwargs: Any) -> Any:
        if path != "arcgym":
            return original(path, *args, **kwargs)
        from arcgym.data.registration import dataset_module

        given = signature.bind(path, *args, **kwargs).arguments
        return dataset_module(given.get("data_dir"), given.get("data_files"), given.get("revision"))

    dataset_module_factory._serves_arcgym = True  # type: ignore[attr-defined]
    module.dataset_module_factory = dataset_module_factory  # type: ignore[attr-defined]
