"""The notebooks run, are the same as their scripts, and show what they show in the repository.

A notebook is a pair: `NAME.py` is what one edits, `NAME.ipynb` what one opens. After a change of the script,
`jupytext --update --to ipynb notebooks/NAME.py` brings the notebook up to date. One that gives the same everywhere
keeps its outputs (`jupyter execute --inplace notebooks/NAME.ipynb`); one that trains keeps none.
"""

import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TRAINS = {"read_a_run", "tiny_ppo"}


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(notebook):
    """The code cells with what they print and return; not what they write to stderr."""
    return [
        (cell.source, [out.get("text") or out.data for out in cell.outputs if out.get("name") != "stderr"])
        for cell in code(notebook)
    ]


def run(path, folder):
    """Execute a copy of a notebook without its outputs, away from the repository and from the network."""
    blank = nbformat.read(path, as_version=4)
    for cell in code(blank):
        cell.outputs = []
    nbformat.write(blank, folder / "run.ipynb")
    env = {**os.environ, "HF_HOME": str(folder), "PYTHONPATH": str(ROOT), "JUPYTER_RUNTIME_DIR": str(folder)}
    command = [
        sys.executable,
        "-c",
        "from nbclient.cli import main; main()",
        "--inplace",
        "--timeout=300",
        "run.ipynb",
    ]
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return nbformat.read(folder / "run.ipynb", as_version=4)


def printed(notebook):
    return "".join(out.text for cell in code(notebook) for out in cell.outputs if out.get("name") == "stdout")


def mimes(notebook):
    return [mime for cell in code(notebook) for out in cell.outputs for mime in out.get("data", {})]


def test_there_is_a_notebook_for_each_purpose():
    assert [path.stem for path in NOTEBOOKS] == ["explore_tasks", "read_a_run", "tiny_ppo"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_and_its_script_are_the_same(path):
    notebook, script = nbformat.read(path, as_version=4), jupytext.read(path.with_suffix(".py"))
    nbformat.validate(notebook)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in script.cells
    ]


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem not in TRAINS], ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_computes(path, tmp_path):
    assert shown(run(path, tmp_path)) == shown(nbformat.read(path, as_version=4))


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem in TRAINS], ids=lambda path: path.stem)
def test_a_notebook_that_trains_keeps_no_outputs(path):
    for cell in code(nbformat.read(path, as_version=4)):
        assert cell.outputs == [] and cell.execution_count is None


def test_tiny_ppo_trains_and_draws_a_program_with_its_task(tmp_path):
    notebook = run(ROOT / "notebooks" / "tiny_ppo.ipynb", tmp_path)
    text = printed(notebook)
    assert [line.split()[1] for line in text.splitlines() if line.startswith("step ")] == list("123456")
    assert "def transform(grid):" in text
    assert mimes(notebook).count("text/html") + mimes(notebook).count("image/svg+xml") >= 2, "tasks are drawn"
    assert mimes(notebook).count("image/png") == 1, "and the answer beside the right one"


def test_read_a_run_shows_metrics_curves_a_comparison_and_a_program(tmp_path):
    notebook = run(ROOT / "notebooks" / "read_a_run.ipynb", tmp_path)
    text = printed(notebook)
    for part in ("of 20 solved, between ", "gained ", "McNemar's p = ", "pass@1  ", "def transform(grid):"):
        assert part in text
    assert mimes(notebook).count("text/html") == 2, "the tables of metrics and of programs"
    assert mimes(notebook).count("image/png") == 2, "the curves, and the grids"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_names_no_machine(path):
    assert path.stat().st_size < 100_000
    for text in (path.read_text(), path.with_suffix(".py").read_text()):
        assert str(ROOT) not in text
        assert "/tmp/" not in text
