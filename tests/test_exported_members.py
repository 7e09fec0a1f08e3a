import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import arcgym

LEVELS_0_TO_2 = (
    "arcgym",
    "arcgym.errors",
    "arcgym.grids",
    "arcgym.primitives",
    "arcgym.data",
    "arcgym.data.synthetic",
    "arcgym.programs",
    "arcgym.sandbox",
    "arcgym.rewards",
    "arcgym.solutions",
    "arcgym.selfplay",
    "arcgym.cli",
)


def test_all_is_sorted_and_is_what_dir_shows():
    assert arcgym.__all__ == sorted(arcgym.__all__)
    assert set(arcgym.__all__) <= set(dir(arcgym))
    assert set(arcgym.__all__) == set(arcgym._MODULES)


@pytest.mark.parametrize("name", arcgym.__all__)
def test_every_exported_name_is_a_documented_class_of_arcgym(name):
    member = getattr(arcgym, name)
    assert inspect.isclass(member)
    assert member.__name__ == name
    assert member.__module__.startswith("arcgym.")
    assert member.__doc__


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert arcgym.__version__ == version("arcgym")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'arcgym' has no attribute 'Nothing'"):
        _ = arcgym.Nothing


def test_the_lower_levels_do_without_the_heavy_libraries():
    code = (
        f"import importlib, sys; [importlib.import_module(m) for m in {LEVELS_0_TO_2!r}]\n"
        "print(sorted({'torch', 'transformers', 'trl', 'datasets'} & sys.modules.keys()))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[]\n", "")
