"""The notebooks run, and show what they show in the repository.

After a change, `jupyter execute --inplace notebooks/NAME.ipynb` writes the new outputs.
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def shown(notebook):
    """The code cells with what they print and return; not what they write to stderr."""
    return [
        (cell.source, [out.get("text") or out.data for out in cell.outputs if out.get("name") != "stderr"])
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_there_is_a_notebook():
    assert [path.stem for path in NOTEBOOKS] == ["explore_tasks"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_computes(path, tmp_path):
    committed = nbformat.read(path, as_version=4)
    nbformat.validate(committed)
    blank = nbformat.read(path, as_version=4)
    for cell in blank.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(blank, tmp_path / "run.ipynb")
    env = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    command = [
        sys.executable,
        "-c",
        "from nbclient.cli import main; main()",
        "--inplace",
        "--timeout=300",
        "run.ipynb",
    ]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    fresh = nbformat.read(tmp_path / "run.ipynb", as_version=4)
    assert shown(fresh) == shown(committed)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_names_no_machine(path):
    assert path.stat().st_size < 100_000
    text = path.read_text()
    assert str(ROOT) not in text
    assert "/tmp/" not in text
