import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_python(code, cwd, tmp_path):
    """Run a program in a fresh interpreter, offline, with a cache of its own."""
    env = {
        **os.environ,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        # An editable install finds arcgym after folders of that name in the current directory; a real one does not.
        "PYTHONPATH": str(ROOT),
    }
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def folder_named_arcgym(tmp_path):
    (tmp_path / "arcgym").mkdir()
    (tmp_path / "arcgym" / "rows.jsonl").write_text('{"wrong": 1}\n')
    return tmp_path


@pytest.mark.parametrize(
    "imports", ["import arcgym, datasets", "import datasets, arcgym", "import datasets.inspect, arcgym, datasets"]
)
def test_the_dataset_is_known_in_either_order_of_imports(imports, folder_named_arcgym):
    code = f"{imports}; print(datasets.load_dataset('arcgym', 'arc-agi-1'))"
    printed = run_python(code, folder_named_arcgym, folder_named_arcgym)
    assert printed.count("num_rows: 400") == 2


def test_importing_arcgym_is_fast_and_light(tmp_path):
    code = (
        "import sys, time; start = time.perf_counter(); import arcgym; took = time.perf_counter() - start\n"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'numpy'} & sys.modules.keys()\n"
        "print(took < 1, sorted(heavy))"
    )
    assert run_python(code, tmp_path, tmp_path) == "True []\n"


def test_the_hook_leaves_the_modules_of_datasets_as_they_are_otherwise(tmp_path):
    code = (
        "import arcgym, arcgym._datasets_hook as hook, sys\n"
        "hook.install(); hook.install()\n"
        "print(sum(type(f).__name__ == '_Finder' for f in sys.meta_path))\n"
        "import datasets, datasets.inspect, datasets.load, inspect\n"
        "print('def load_dataset' in inspect.getsource(datasets.load))\n"
        "factory = datasets.load.dataset_module_factory\n"
        "print(datasets.inspect.dataset_module_factory is factory, factory.__wrapped__.__name__)\n"
        "print(hasattr(factory.__wrapped__, '_serves_arcgym'))\n"
        "hook.install(); print(datasets.load.dataset_module_factory is factory)\n"
    )
    assert run_python(code, tmp_path, tmp_path).split() == [
        "1", "True", "True", "dataset_module_factory", "False", "True",
    ]  # fmt: skip


def test_a_missing_datasets_is_reported_by_python(tmp_path):
    code = (
        "import sys; import arcgym\n"
        "sys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        "try:\n    import datasets.load\nexcept ModuleNotFoundError as exc:\n    print(exc.name)\n"
    )
    assert run_python(code, tmp_path, tmp_path) == "datasets\n"
