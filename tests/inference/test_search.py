"""Rounds, views, limits and the journal, with scripted policies and the real sandbox."""

import json
import time

import pytest
from scripted import Scripted
from tiny_policies import FLIP, IDENTITY

from arcgym.data.augmentation import parse_augmentation
from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError
from arcgym.inference import ProgramJournal, SearchConfig, Solver, with_fallback
from arcgym.inference.journal import Row
from arcgym.inference.search import TaskSearch, make_views
from arcgym.sandbox import ExecutionResult, Status

MIRROR = Task.from_dict(
    {"train": [{"input": [[1, 2], [0, 4]], "output": [[2, 1], [4, 0]]}], "test": [{"input": [[7, 8, 9]]}]},
    task_id="mirror",
)
SAME = Task.from_dict({"train": [{"input": [[1, 2]], "output": [[1, 2]]}], "test": [{"input": [[3, 4]]}]}, task_id="s")
RENAMED = FLIP.replace("grid", "cells")
OTHER = "import numpy as np\n\ndef transform(grid):\n    return np.fliplr(grid)\n"
UPSIDE = "def transform(grid):\n    return grid[::-1]\n"


@pytest.fixture
def make(byte_tokenizer, sandbox):
    def build(answer, num_samples=8, max_new_tokens=100, **search):
        return Solver(
            None,
            byte_tokenizer,
            sandbox,
            TaskFormatter(),
            num_samples=num_samples,
            max_new_tokens=max_new_tokens,
            search=SearchConfig(**search),
            backend=Scripted(byte_tokenizer, answer),
        )

    return build


def plain(solution):
    """All that a solution says, comparable."""
    return (
        solution.task_id,
        [(c.program, c.count, c.view, c.train_passed, str(c.outputs)) for c in solution.candidates],
        str(solution.attempts),
        (solution.num_samples, solution.num_without_program, solution.num_tokens, solution.ended),
    )


def test_a_task_is_finished_when_distinct_programs_agree(make):
    programs = [FLIP, FLIP, RENAMED, IDENTITY, OTHER, UPSIDE, UPSIDE, UPSIDE]
    solver = make(lambda text, number: programs[number], round_size=1, stop_agreeing=2)
    (solution,) = solver.solve([MIRROR])
    assert (solution.num_samples, solution.ended) == (5, "agreed"), "renamed is not distinct, wrong does not agree"
    assert [number for _, number in solver.backend.asked] == [0, 1, 2, 3, 4]
    (solution,) = make(lambda text, number: programs[number], round_size=3, stop_agreeing=3).solve([MIRROR])
    assert (solution.num_samples, solution.ended) == (8, "samples")


def test_tasks_end_each_for_themselves(make):
    def answer(text, number):
        return (FLIP, OTHER)[number % 2] if "1 2"[::2] + "\n04" in text else IDENTITY

    first, second = make(answer, round_size=2, stop_agreeing=2).solve([MIRROR, SAME])
    assert (first.num_samples, first.ended) == (2, "agreed")
    assert (second.num_samples, second.ended) == (8, "samples")


def test_views_ask_otherwise_and_answers_come_back(make):
    solver = make(lambda text, number: (FLIP, UPSIDE)[number % 2], views=8, num_samples=16)
    (solution,) = solver.solve([MIRROR])
    assert len({text for text, _ in solver.backend.asked}) == 8
    fitting = [candidate for candidate in solution.candidates if candidate.is_train_fit]
    assert {candidate.view for candidate in fitting} > {"identity"}
    assert all(candidate.outputs[0].tolist() == [[9, 8, 7]] for candidate in fitting)
    # Each view of a left-right mirror is a mirror, one way or the other
    assert len({candidate.view for candidate in fitting}) == 8
    turned = next(c for c in fitting if c.program == UPSIDE)
    changed = parse_augmentation(turned.view).apply(MIRROR)
    assert (changed.train[0].input[::-1] == changed.train[0].output).all()
    assert solution.attempts[0][0].tolist() == [[9, 8, 7]]


def test_tokens_are_never_exceeded(make):
    # IDENTITY is 40 characters, and the scripted policy counts those as tokens
    solver = make(lambda text, number: IDENTITY, max_new_tokens=50, task_tokens=200, num_samples=100)
    (solution,) = solver.solve([MIRROR])
    assert 150 < solution.num_tokens <= 200 and solution.ended == "tokens"
    assert [number for _, number in solver.backend.asked] == list(range(solution.num_samples))
    (solution,) = make(lambda text, number: IDENTITY, max_new_tokens=50, task_tokens=49).solve([MIRROR])
    assert (solution.num_samples, solution.ended, solution.attempts) == (0, "tokens", ((),))


def test_seconds_end_a_task_and_a_run(make):
    def slow(text, number):
        time.sleep(0.02)
        return IDENTITY

    (solution,) = make(slow, round_size=1, task_seconds=0.03, num_samples=100).solve([MIRROR])
    assert 1 <= solution.num_samples < 100 and solution.ended == "seconds"
    first, second = make(slow, round_size=1, time_budget=0.05, num_samples=100).solve([MIRROR, SAME])
    assert first.ended == second.ended == "time" and 1 <= first.num_samples < 100
    assert abs(first.num_samples - second.num_samples) <= 1, "tasks take turns"


def test_a_test_input_without_an_answer_is_answered_with_itself(make):
    (solution,) = make(lambda text, number: "no idea").solve([MIRROR])
    assert solution.attempts == ((),)
    assert [grid.tolist() for grid in with_fallback(solution, MIRROR).attempts[0]] == [[[7, 8, 9]]]
    (solution,) = make(lambda text, number: FLIP).solve([MIRROR])
    assert with_fallback(solution, MIRROR) is solution


# --- the journal ---

VARIED = (FLIP, "no idea", IDENTITY, UPSIDE, FLIP, IDENTITY, OTHER, "import")
SEARCH = {"round_size": 2, "stop_agreeing": 2, "views": 2, "repair_rounds": 1}


def varied(text, number):
    return FLIP if "This program is not right" in text else VARIED[number % len(VARIED)]


def test_a_row_comes_back_as_it_was():
    grid = MIRROR.train[0].input
    result = ExecutionResult(Status.RUNTIME_ERROR, (grid, None), "ValueError", "\ud800", 3, "x = 1")
    row = Row(1, 2, 3, "a program", 7, -1.25, "its parent", result)
    read = Row.read(json.loads(json.dumps(row.to_plain())))
    assert read._replace(result=None) == row._replace(result=None)
    assert read.result.outputs[0].tolist() == grid.tolist() and read.result.outputs[1] is None
    assert not read.result.outputs[0].flags.writeable
    assert (read.result.status, read.result.message, read.result.line) == (Status.RUNTIME_ERROR, "\ud800", 3)
    assert Row.read(Row(0, 0, 0, None, 1, float("-inf")).to_plain()).log_prob is None


def test_a_run_that_was_stopped_anywhere_goes_on_to_the_same_answers(make, tmp_path):
    path = tmp_path / "whole" / "programs.jsonl"
    tasks = [MIRROR, SAME]
    whole = list(map(plain, make(varied, **SEARCH).solve(tasks, journal=ProgramJournal(path))))
    assert list(map(plain, make(varied, **SEARCH).solve(tasks))) == whole, "the journal changes nothing"
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    assert len(lines) == 1 + sum(numbers[0] for *_, numbers in whole) + len(tasks)
    for kept in range(0, len(lines) + 1, 2):
        torn = tmp_path / f"{kept}.jsonl"
        torn.write_bytes(b"".join(lines[:kept]) + (lines[kept][:-7] if kept < len(lines) else b""))
        solver = make(varied, **SEARCH)
        assert list(map(plain, solver.solve(tasks, journal=ProgramJournal(torn)))) == whole, kept
        assert sorted(torn.read_bytes().splitlines()) == sorted(content.splitlines()), kept
        if kept == len(lines):
            assert not solver.backend.asked, "nothing is asked again"


def test_a_finished_task_is_not_begun_again_though_others_are(make, tmp_path):
    path = tmp_path / "programs.jsonl"
    make(varied, **SEARCH).solve([MIRROR], journal=ProgramJournal(path))
    solver = make(varied, **SEARCH)
    solver.solve([MIRROR, SAME], journal=ProgramJournal(path))
    assert solver.backend.asked and not any("04" in text for text, _ in solver.backend.asked)


def test_what_the_clock_ended_stays_ended_and_what_the_run_ended_goes_on(make, tmp_path):
    def slow(text, number):
        time.sleep(0.02)
        return IDENTITY

    path = tmp_path / "programs.jsonl"
    limits = {"round_size": 1, "task_seconds": 0.03}
    (first,) = make(slow, 20, **limits).solve([MIRROR], journal=ProgramJournal(path))
    (again,) = make(slow, 20, **limits).solve([MIRROR], journal=ProgramJournal(path))
    assert plain(again) == plain(first) and first.ended == "seconds"
    path = tmp_path / "other.jsonl"
    (first,) = make(slow, 20, round_size=1, time_budget=0.03).solve([MIRROR], journal=ProgramJournal(path))
    (again,) = make(slow, 20, round_size=1).solve([MIRROR], journal=ProgramJournal(path))
    assert first.ended == "time" and first.num_samples < 20
    assert again.ended == "samples" and again.num_samples == 20


def test_programs_of_another_run_are_not_taken_over(make, tmp_path):
    path = tmp_path / "programs.jsonl"
    make(varied).solve([MIRROR], journal=ProgramJournal(path, {"policy": "a"}))
    for solver, identity in ((make(varied), {"policy": "b"}), (make(varied, num_samples=9), {"policy": "a"})):
        with pytest.raises(ConfigError, match="another run"):
            solver.solve([MIRROR], journal=ProgramJournal(path, identity))
    damaged = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([damaged[0], b"{}\n", *damaged[2:]]))
    with pytest.raises(ConfigError, match="line 2, is damaged"):
        make(varied).solve([MIRROR], journal=ProgramJournal(path, {"policy": "a"}))


def test_repairs_are_counted_where_the_bandit_looks_for_them():
    config = SearchConfig()
    search = TaskSearch(MIRROR, make_views(MIRROR, config, seed=0), [], config, 0, "mirror", 100)
    wrong = ExecutionResult(Status.OK, (None, None))
    search.add(Row(0, 0, 0, UPSIDE, 9, None), wrong)
    search.add(Row(0, 0, 1, None, 5, None, parent=UPSIDE), None)
    assert search.tried[0, UPSIDE].repairs == search.num_repairs == 1
    assert (search.num_samples, search.num_tokens, search.num_without_program) == (2, 14, 1)
