import json
import re

import pytest

from arcgym.cli import main
from arcgym.data import TaskLoader
from arcgym.evaluation import EvaluationReport

FLIP = "def transform(grid):\n    return grid[:, ::-1]\n"
IDENTITY = "def transform(grid):\n    return grid\n"


def pair(before, after):
    return {"input": before, "output": after}


@pytest.fixture
def folder(tmp_path):
    tasks = tmp_path / "tasks" / "evaluation"
    tasks.mkdir(parents=True)
    same = {"train": [pair([[1, 2]], [[1, 2]])], "test": [pair([[3, 4]], [[3, 4]])]}
    mirror = {"train": [pair([[1, 2]], [[2, 1]])], "test": [pair([[3, 4]], [[4, 3]]), pair([[5, 6]], [[6, 5]])]}
    (tasks / "same.json").write_text(json.dumps(same))
    (tasks / "mirror.json").write_text(json.dumps(mirror))
    rows = [("mirror", FLIP), ("mirror", FLIP), ("same", IDENTITY)]
    text = "".join(json.dumps({"task_id": name, "source": source}) + "\n" for name, source in rows)
    (tmp_path / "programs.jsonl").write_text(text)
    return tmp_path


def evaluate(folder, *words):
    return main(["evaluate", f"{folder}/tasks/evaluation", "--workers", "1", "--allow-weak", *words])


def test_programs_of_a_file_are_evaluated_kept_and_handed_in(capsys, folder):
    report, submission = folder / "out" / "report.json", folder / "submission.json"
    words = ["--programs", str(folder / "programs.jsonl"), "--out", str(report), "--submission", str(submission)]
    assert evaluate(folder, *words) == 0
    printed = capsys.readouterr().out
    assert "solved      2 of 2" in printed
    assert "programs    3, valid 100.0%" in printed
    assert printed.endswith(f"{report}\n{submission}\n")
    saved = EvaluationReport.load(report)
    assert saved.aggregates["solved"] == 2
    assert saved.provenance["config"]["timeout"] == 2.0
    capsys.readouterr()
    assert main(["submission", "check", str(submission), str(folder / "tasks")]) == 0
    assert capsys.readouterr().out == f"{submission}: good, 2 tasks with 3 test inputs\n"
    assert main(["submission", "score", str(submission), str(folder / "tasks")]) == 0
    assert re.findall(r"[\d.]+%", capsys.readouterr().out) == ["100.00%"] * 3


def test_results_are_compared_with_intervals_and_p_values(capsys, folder):
    good, floor = folder / "good.json", folder / "floor.json"
    assert evaluate(folder, "--programs", str(folder / "programs.jsonl"), "--out", str(good)) == 0
    assert evaluate(folder, "--baseline", "identity", "--out", str(floor)) == 0
    capsys.readouterr()
    assert main(["compare", str(floor), str(good)]) == 0
    printed = capsys.readouterr().out
    assert "1/2 50.0%" in printed and "2/2 100.0%" in printed
    assert "+50.00%" in printed and "p, Holm" in printed
    assert "programs per task differ: 1 and 2" in printed
    assert main(["compare", str(floor), str(good), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["gained"], found["lost"], found["p_value"]) == (1, 0, 1.0)
    assert found["differences"]["kaggle"]["value"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("baseline", ["most-common", "random", "enumeration"])
def test_every_baseline_leaves_a_report(capsys, folder, baseline):
    out = folder / "report.json"
    words = ["--baseline", baseline, "--samples", "5", "--executions", "50", "--depth", "1", "--seed", "3"]
    assert evaluate(folder, *words, "--out", str(out)) == 0
    sampling = EvaluationReport.load(out).sampling
    assert sampling["origin"].startswith(baseline.split("-")[0])
    assert sampling["num_samples"] == {"most-common": 1, "random": 5, "enumeration": 8}[baseline]
    if baseline == "random":
        assert sampling["seed"] == 3 and "depth 1" in sampling["origin"]


def test_the_nearest_neighbour_answers_with_programs_of_its_library(capsys, folder):
    known = TaskLoader().load("synthetic", "train")[:2]
    library = folder / "library.jsonl"
    library.write_text("".join(json.dumps({"task_id": task.task_id, "source": FLIP}) + "\n" for task in known))
    words = ["--baseline", "nearest", "--library", str(library), "--library-tasks", "synthetic/train"]
    assert evaluate(folder, *words) == 0
    assert "solved      1 of 2" in capsys.readouterr().out


def test_solutions_are_asked_whether_they_generalise(capsys, tmp_path):
    task = TaskLoader().load("synthetic", "evaluation")[0]
    programs = tmp_path / "programs.jsonl"
    programs.write_text(json.dumps({"task_id": task.task_id, "source": task.program}) + "\n")
    words = ["evaluate", "synthetic/evaluation", "--programs", str(programs), "--generalise"]
    assert main([*words, "--workers", "1", "--allow-weak"]) == 0
    assert "general     100.0% of 1 solutions" in capsys.readouterr().out


def test_every_fault_of_a_submission_is_listed(capsys, folder):
    path = folder / "submission.json"
    grid = {"attempt_1": [[3, 4]], "attempt_2": [[0]]}
    path.write_text(json.dumps({"same": [grid], "mirror": [grid], "other": []}))
    assert main(["submission", "check", str(path), str(folder / "tasks")]) == 2
    printed = capsys.readouterr()
    assert "task 'other' is not in the set" in printed.out
    assert "task 'mirror' has 1 entries, but 2 test inputs" in printed.out
    assert "has 2 faults; see above" in printed.err
    assert main(["submission", "score", str(path), str(folder / "tasks")]) == 0
    printed = capsys.readouterr()
    assert re.findall(r"[\d.]+%", printed.out) == ["33.33%", "50.00%", "50.00%"]
    assert "2 faults, which count as wrong" in printed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "nothing", "--baseline", "identity"], "does not name tasks"),
        (["evaluate", "{folder}/tasks/evaluation", "--baseline", "random", "--samples", "0"], "`--samples` is 0"),
        (["evaluate", "{folder}/tasks/evaluation", "--baseline", "nearest"], "needs `--library`"),
        (["evaluate", "{folder}/tasks/evaluation", "--programs", "{folder}/none"], "cannot be read as JSON Lines"),
        (["compare", "{folder}"], "neither a report"),
        (["submission", "score", "{folder}/none", "{folder}/tasks"], "cannot be read as a submission"),
    ],
)
def test_an_error_is_one_message_without_traceback(capsys, folder, words, message):
    words = [word.format(folder=folder) for word in words]
    assert main(words + (["--allow-weak", "--workers", "1"] if words[0] == "evaluate" else [])) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
