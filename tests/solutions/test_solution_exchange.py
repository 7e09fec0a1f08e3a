import json
import os

import pytest
from datasets import load_dataset
from solution_strategies import solution

from arcgym.data import Pair, Task
from arcgym.errors import ConfigError, DatabaseError
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status
from arcgym.solutions import (
    Solution,
    SolutionDatabase,
    SolutionFilter,
    export_dataset,
    export_jsonl,
    export_parquet,
    import_programs,
    measure_generality,
    task_inputs,
)

FLIP = "import numpy as np\ndef transform(grid):\n    return np.fliplr(grid)\n"
TABLE = "def transform(grid):\n    return {2: [[2, 1]], 3: [[3, 2, 1]]}[len(grid[0])]\n"


def flip_task(name="flip", *rows):
    pairs = [Pair([row], [row[::-1]]) for row in rows or ([1, 2], [1, 2, 3])]
    return Task(name, tuple(pairs), (Pair([[5, 6]], None),))


@pytest.fixture(scope="module")
def sandbox():
    with CodeSandbox(workers=1) as sandbox:
        yield sandbox


@pytest.fixture
def database(tmp_path):
    with SolutionDatabase(tmp_path / "solutions.db") as database:
        yield database


def write_lines(path, *values):
    path.write_text("".join(value if isinstance(value, str) else json.dumps(value) + "\n" for value in values))
    return path


def test_programs_of_others_are_verified(database, sandbox, tmp_path):
    other = flip_task("other", [1, 2], [4, 5, 6])
    file = write_lines(
        tmp_path / "theirs.jsonl",
        {"task_id": "flip", "source": FLIP, "policy": "someone"},
        {"task_id": "flip", "program": FLIP.replace("grid", "pattern") + "# renamed"},
        {"task_id": "flip", "source": TABLE},
        {"task_id": "other", "source": TABLE},
        "\n",
        {"task_id": "flip", "source": "def transform(grid)"},
        {"task_id": "unheard", "source": FLIP},
        {"task_id": "flip", "source": 3},
        {"task_id": "flip", "source": "a\0"},
        "not json\n",
        "[1]\n",
    )
    report = import_programs(database, file, [flip_task(), other], sandbox, source_revision="v1", batch_size=2)
    assert (report.read, report.solved, report.failed, report.unknown_tasks, report.refused) == (6, 3, 1, 1, 5)
    assert report.stored == database.count() == 2
    lines = sorted(int(problem.split(":")[0].removeprefix("line ")) for problem in report.problems)
    assert lines == [6, 7, 8, 9, 10, 11]
    assert "no task 'unheard' among those given" in "".join(report.problems)
    found = {s.program: s for s in database.best()}
    assert (found[FLIP].source_policy, found[FLIP].source_revision) == ("someone", "v1")
    assert found[FLIP].outputs[2].tolist() == [[6, 5]]  # a test pair without known output is run, not judged
    assert [verdict.part for verdict in found[FLIP].verdicts] == ["train", "train"]
    assert found[TABLE].source_policy == "theirs.jsonl" and found[TABLE].status is Status.OK
    again = import_programs(database, file, [flip_task(), other], sandbox, keep_failed=True)
    assert database.count() == 3 and again.failed == 1
    assert [s.pass_share for s in database.best(SolutionFilter(solved=False))] == [0.5]


def test_files_that_hold_no_programs(database, sandbox, tmp_path):
    with pytest.raises(DatabaseError, match=r"bad.jsonl holds no programs: line 1: no JSON"):
        import_programs(database, write_lines(tmp_path / "bad.jsonl", "{\n"), [flip_task()], sandbox)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        import_programs(database, tmp_path / "none.jsonl", [flip_task()], sandbox)
    with pytest.raises(ConfigError, match="two different tasks are named 'flip'"):
        import_programs(database, tmp_path / "none.jsonl", [flip_task(), flip_task("flip", [1, 2])], sandbox)


def test_what_was_not_run_is_not_judged():
    lost = ExecutionResult(Status.INFRASTRUCTURE, (None, None, None), message="worker lost")
    with pytest.raises(ValueError, match="was not run \\(worker lost\\)"):
        Solution.from_result(flip_task(), FLIP, lost)
    with pytest.raises(ValueError, match="1 outputs for the 3 pairs"):
        Solution.from_result(flip_task(), FLIP, ExecutionResult(Status.OK, (None,)))


@pytest.fixture
def filled(database):
    partly = solution(2, right=(True, False), view_share=0.5, parent=f"{'0' * 64}/{'1' * 32}", generation=3)
    database.add([partly, solution(1, log_prob=-1.5, sampling={"seed": 7}), *map(solution, range(10, 1210))])
    return database


def test_exports_agree_and_keep_everything(filled, tmp_path):
    dataset = export_dataset(filled)
    assert export_jsonl(filled, tmp_path / "a.jsonl") == export_parquet(filled, tmp_path / "a.parquet") == 1202
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    loaded = load_dataset("parquet", data_files=str(tmp_path / "a.parquet"), split="train", cache_dir=str(tmp_path))
    assert lines == dataset.to_list() == loaded.to_list()
    assert [line["program_hash"] for line in lines] == [s.program_hash for s in filled.best()]
    by_hash = {line["program_hash"]: line for line in lines}
    partly = by_hash[f"{2:032x}"]
    assert partly["verdicts"] == [
        {"part": "train", "pair": 0, "is_right": True}, {"part": "train", "pair": 1, "is_right": False}
    ]  # fmt: skip
    assert (partly["is_solved"], partly["view_share"], partly["generation"]) == (False, 0.5, 3)
    assert partly["parent"] == f"{'0' * 64}/{'1' * 32}" and partly["outputs"] == [[[2, 2]], [[2, 2]]]
    assert by_hash[f"{1:032x}"]["sampling"] == '{"seed": 7}' and by_hash[f"{1:032x}"]["log_prob"] == -1.5


def test_exports_are_filtered_and_may_be_empty(filled, tmp_path):
    wanted, nothing = SolutionFilter(generations=(3, 3)), SolutionFilter(task_ids=["none"])
    assert export_dataset(filled, wanted)["program_hash"][:] == [f"{2:032x}"]
    assert export_jsonl(filled, tmp_path / "a.jsonl", wanted) == export_parquet(filled, tmp_path / "a.pq", wanted) == 1
    assert export_dataset(filled, nothing).features == export_dataset(filled, wanted).features
    assert (
        export_jsonl(filled, tmp_path / "b.jsonl", nothing) == export_parquet(filled, tmp_path / "b.pq", nothing) == 0
    )


@pytest.mark.parametrize("export", [export_jsonl, export_parquet])
def test_a_file_is_replaced_whole_or_not_at_all(filled, tmp_path, monkeypatch, export):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ConfigError, match="no/a' cannot be written: No such file"):
        export(filled, tmp_path / "no/a")

    def breaks(wanted):
        yield solution(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(filled, "iterate", breaks)
        export(filled, tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    export(filled, tmp_path / "a")
    assert (tmp_path / "a").stat().st_size > 1000 and (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_an_export_can_be_imported(database, sandbox, tmp_path):
    (result,) = sandbox.run([FLIP], [task_inputs(flip_task())])
    database.add([Solution.from_result(flip_task(), FLIP, result, source_policy="tiny")])
    export_jsonl(database, tmp_path / "a.jsonl")
    with SolutionDatabase(tmp_path / "copy.db") as copy:
        import_programs(copy, tmp_path / "a.jsonl", [flip_task()], sandbox)
        (found,) = copy.best()
    assert (found.key, found.source_policy) == (database.best()[0].key, "tiny")


def test_generality_tells_a_rule_from_a_table(database, sandbox):
    task = flip_task()
    results = sandbox.run([FLIP, TABLE], [task_inputs(task)] * 2)
    rule, table = (Solution.from_result(task, p, r) for p, r in zip((FLIP, TABLE), results, strict=True))
    assert rule.is_solved and table.is_solved
    fresh = {task.content_hash: [Pair([[7, 8]], [[8, 7]]), Pair([[2, 1]], [[1, 2]]), Pair([[4, 1]], [[2, 1]])]}
    measured = measure_generality([rule, table], [task], sandbox, num_views=6, fresh=fresh)
    assert [figures.program_hash for figures in measured] == [rule.program_hash, table.program_hash]
    assert [figures.fresh_share for figures in measured] == [2 / 3, 1 / 3]
    assert 0 < measured[0].view_share < 1  # not where rows have become columns
    assert measured[1].view_share == 0.0
    assert measure_generality([rule], [], sandbox) == []
    (only_fresh,) = measure_generality([rule], [task], sandbox, num_views=0, fresh=fresh)
    assert (only_fresh.view_share, only_fresh.fresh_share) == (None, 2 / 3)
    database.add([rule, table])
    database.set_generality(measured)
    assert [s.view_share for s in database.best()] == [measured[0].view_share, 0.0]
    with pytest.raises(ValueError, match="a fresh pair has no output"):
        measure_generality([rule], [task], sandbox, fresh={task.content_hash: [Pair([[0]], None)]})
