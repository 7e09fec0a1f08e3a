"""Figures recomputed from the raw records of a report's file, by a script that shares no code with arcgym."""

import ast
import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Task
from arcgym.evaluation import PerformanceEvaluator
from arcgym.inference import Solver

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "recompute_scores.py"


def task(name, train, test, **facts):
    pairs = [[{"input": before, "output": after} for before, after in part] for part in (train, test)]
    return Task.from_dict(dict(zip(("train", "test"), pairs, strict=True)), task_id=name, **facts)


MIRROR_PAIRS = [([[1, 2]], [[2, 1]])]
TASKS = [
    task("mirror", MIRROR_PAIRS, [([[7, 8, 9]], [[9, 8, 7]]), ([[1, 3]], [[3, 1]])]),
    task("half", MIRROR_PAIRS, [([[7, 8]], [[8, 7]]), ([[1, 3]], [[5, 5]]), ([[2, 2]], [[4]])]),
    task("same", [([[1, 2]], [[1, 2]])], [([[3, 4]], [[3, 4]])]),
    task("beyond", [([[1]], [[2]])], [([[3]], [[9]])]),
    task("huge", [([[1] * 30] * 30, [[1] * 30] * 30)], [([[1]], [[1]])]),  # longer than the context: never tried
]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("recompute_scores", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def file(taught_model, byte_tokenizer, sandbox, tmp_path_factory):
    """A report's file, as the evaluator writes it."""
    solver = Solver(taught_model, byte_tokenizer, sandbox, TaskFormatter(), num_samples=20, max_new_tokens=4)
    path = tmp_path_factory.mktemp("reports") / "report.json"
    PerformanceEvaluator(solver).evaluate(TASKS, "by-hand").save(path)
    return path


@pytest.fixture
def plain(file):
    return json.loads(file.read_text())


def disagreements(script, plain):
    return [check.name for check in script.recompute(plain) if not check.agrees]


def run(*words):
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, words)], capture_output=True, text=True, check=False)


def leaves(value, path=()):
    """Paths to all numbers of plain data."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def changed(plain, path, by):
    falsified = copy.deepcopy(plain)
    *way, last = path
    place = falsified
    for key in way:
        place = place[key]
    place[last] += by
    return falsified


def test_the_script_uses_nothing_of_arcgym():
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(SCRIPT.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= sys.stdlib_module_names


def test_every_figure_of_an_evaluation_follows_from_its_records(script, file, plain):
    assert [record["is_solved"] for record in plain["records"]] == [True, False, True, False, False]
    assert [len(record["attempts"]) for record in plain["records"]] == [2, 3, 1, 1, 1]
    assert plain["records"][4]["reason"]
    assert disagreements(script, plain) == []
    checked = {check.name for check in script.recompute(plain)}
    assert plain["aggregates"].keys() - checked == {"intervals", "dataset_hash"}
    assert {f"intervals {name}" for name in plain["aggregates"]["intervals"]} <= checked
    result = run(file)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "agree with the 5 records" in result.stdout


def test_each_falsified_figure_is_found(script, plain, monkeypatch):
    monkeypatch.setattr(script, "RESAMPLES", 200)  # a hundred recomputations
    paths = [("aggregates", *path) for path in leaves(plain["aggregates"])]
    paths += [("breakdown", *path) for path in leaves(plain["breakdown"])]
    assert len(paths) > 60
    for path in paths:
        by = 0.6 if "intervals" in path else 1e-6  # those of the bootstrap are drawn anew
        assert disagreements(script, changed(plain, path, by)), path


@pytest.mark.parametrize(
    "name", ["num_samples", "num_without_program", "num_valid", "num_test_correct", "success_rate", "num_train_fit"]
)
def test_each_falsified_count_of_a_record_is_found(script, plain, name):
    assert disagreements(script, changed(plain, ("records", 1, name), 1))


def test_a_verdict_that_was_turned_is_found(script, plain):
    plain["records"][3]["attempts"] = [[True, True]]
    found = disagreements(script, plain)
    assert {"task beyond is_solved", "task beyond attempts within oracle", "solved", "kaggle"} <= set(found)


def test_figures_that_were_added_or_taken_away_are_found(script, plain):
    plain["aggregates"]["pass@1000"] = 1.0
    del plain["aggregates"]["kaggle"]
    del plain["aggregates"]["intervals"]["pass@1"]
    assert {"pass@1000", "kaggle", "intervals pass@1"} <= set(disagreements(script, plain))


def test_predictions_are_held_against_solutions(file, plain, tmp_path):
    solutions = tmp_path / "solutions.json"
    solutions.write_text(json.dumps({t.task_id: [pair.output.tolist() for pair in t.test] for t in TASKS}))
    assert run(file, "--solutions", solutions).returncode == 0
    # A file that is in itself as it should be: the verdicts, the oracle and all figures are those of another solution
    other = tmp_path / "other.json"
    plain["records"][0]["predictions"][0] = [[[1, 1, 1]], [[2, 2, 2]]]
    other.write_text(json.dumps(plain))
    assert run(other).returncode == 0
    result = run(other, "--solutions", solutions)
    assert result.returncode == 1
    assert "DISAGREES  task mirror attempts" in result.stdout
