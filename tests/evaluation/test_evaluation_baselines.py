"""Baselines and programs of a file, through the evaluator and the real sandbox."""

import json

import numpy as np
import pytest

from arcgym.data import TaskLoader
from arcgym.data.synthetic import generate_tasks
from arcgym.data.tasks import Task
from arcgym.errors import TaskError
from arcgym.evaluation import PerformanceEvaluator
from arcgym.evaluation.baselines import (
    IDENTITY,
    ProgramSampling,
    ProgramSolver,
    enumeration,
    from_programs,
    identity,
    load_programs,
    most_common_output,
    nearest_neighbour,
    random_programs,
)

FLIP = "def transform(grid):\n    return grid[:, ::-1]\n"


def task(task_id, train, test):
    pairs = [[{"input": before, "output": after} for before, after in part] for part in (train, test)]
    return Task.from_dict(dict(zip(("train", "test"), pairs, strict=True)), task_id=task_id)


MIRROR = task("mirror", [([[1, 2]], [[2, 1]])], [([[3, 4]], [[4, 3]]), ([[5, 6]], [[6, 5]])])
SAME = task("same", [([[1, 2]], [[1, 2]])], [([[3, 4]], [[3, 4]])])
CONSTANT = task("constant", [([[1]], [[7]]), ([[2]], [[8]]), ([[3]], [[8]])], [([[4]], [[8]])])
TASKS = [MIRROR, SAME, CONSTANT]


def solved(solver, tasks=TASKS):
    report = PerformanceEvaluator(solver).evaluate(tasks, "by-hand")
    return {record.task_id: record for record in report.records if record.is_solved}


def test_the_simple_floors_solve_what_they_should(sandbox):
    assert set(solved(identity(sandbox))) == {"same"}
    assert set(solved(most_common_output(sandbox))) == {"constant"}
    record = solved(most_common_output(sandbox))["constant"]
    assert record.predictions == ((((8,),), ((7,),)),), "the most common first"


def test_random_programs_are_those_of_the_grammar_and_depend_on_the_seed(sandbox):
    tasks = list(generate_tasks(3, seed=5, max_side=5))
    solver = random_programs(sandbox, 12, seed=1)
    solutions = solver.solve(tasks)
    programs = [{candidate.program for candidate in solution.candidates} for solution in solutions]
    assert all(solution.num_samples == 12 for solution in solutions)
    assert all(program.startswith("from arcgym.primitives import *") for program in set().union(*programs))
    assert {program.count("grid = ") for program in set().union(*programs)} == {1, 2}
    alone = random_programs(sandbox, 12, seed=1).solve(tasks[1:2])[0]
    assert {candidate.program for candidate in alone.candidates} == programs[1]
    other = random_programs(sandbox, 12, seed=2).solve(tasks[1:2])[0]
    assert {candidate.program for candidate in other.candidates} != programs[1]


def test_enumeration_answers_with_what_fits(sandbox):
    tasks = list(generate_tasks(4, seed=5, max_side=5, max_depth=1))
    solutions = enumeration(sandbox, 2000, max_depth=1, keep=3).solve([*tasks, MIRROR])
    for solution in solutions:
        assert 1 <= len(solution.candidates) <= 3
        assert all(candidate.is_train_fit for candidate in solution.candidates)
    beyond = task("beyond", [([[1]], [[7], [3], [5]]), ([[2, 2]], [[9]])], [([[4]], [[8]])])
    nothing = enumeration(sandbox, 2000, max_depth=1).solve([beyond])[0]
    assert (nothing.num_samples, nothing.reason) == (0, "there is no program for this task")


def test_the_nearest_neighbour_is_the_task_that_looks_alike_and_no_copy(sandbox):
    wide = [[0, 0, 1, 0, 2, 0, 3, 0, 1, 2]] * 3
    known = [
        task("small", [([[4, 5]], [[5, 4]])], [([[6, 7]], [[7, 6]])]),
        task("large", [(wide * 3, [[1]])], [(wide * 3, [[1]])]),
        task("copy", [([[2, 1]], [[1, 2]])], [([[4, 3]], [[3, 4]]), ([[6, 5]], [[5, 6]])]),
    ]
    programs = {"small": [FLIP], "large": [IDENTITY], "copy": ["def transform(grid):\n    return [[0]]\n"]}
    (solution,) = nearest_neighbour(sandbox, programs, known, 1).solve([MIRROR])
    assert [candidate.program for candidate in solution.candidates] == [FLIP]
    assert set(solved(nearest_neighbour(sandbox, programs, known, 2), [MIRROR])) == {"mirror"}
    with pytest.raises(TaskError, match="no program is of a known task"):
        nearest_neighbour(sandbox, {"other": [FLIP]}, known, 1)


def test_no_proposer_sees_test_outputs_or_the_tasks_own_program(sandbox):
    seen = []

    def propose(task):
        seen.append(task)
        return [IDENTITY]

    ProgramSolver(propose, sandbox, ProgramSampling("spy", 1)).solve(list(generate_tasks(2, seed=0)))
    assert all(pair.output is None for task in seen for pair in task.test)
    assert [(task.program, task.family) for task in seen] == [("", "")] * 2


def test_programs_of_a_file_vote_and_a_task_without_one_counts_zero(sandbox, tmp_path):
    path = tmp_path / "programs.jsonl"
    rows = [("mirror", FLIP), ("mirror", IDENTITY), ("mirror", FLIP), ("same", FLIP), ("elsewhere", FLIP)]
    path.write_text("".join(json.dumps({"task_id": name, "source": source}) + "\n" for name, source in rows))
    programs = load_programs(path)
    assert programs == {"mirror": [FLIP, IDENTITY, FLIP], "same": [FLIP], "elsewhere": [FLIP]}
    report = PerformanceEvaluator(from_programs(programs, sandbox)).evaluate(TASKS, "by-hand")
    assert [(record.num_samples, record.num_distinct, record.is_solved) for record in report.records] == [
        (3, 2, True),
        (1, 1, False),
        (0, 0, False),
    ]
    assert report.records[2].reason == "there is no program for this task"
    assert report.aggregates["pass@1"] == pytest.approx(2 / 3 / 3)
    other = from_programs({"mirror": [IDENTITY]}, sandbox)
    assert other.sampling.origin != from_programs(programs, sandbox).sampling.origin
    with pytest.raises(TaskError, match="no programs"):
        from_programs({"mirror": []}, sandbox)


def test_every_bad_line_of_a_file_is_named(tmp_path):
    path = tmp_path / "programs.jsonl"
    path.write_text('{"task_id": "a", "source": "x"}\n{"task_id": "a"}\n{\n{"task_id": 1, "source": "x"}\n[]\n')
    with pytest.raises(TaskError, match=r"line 2 has no .* line 3 .* line 4: .* must be texts; line 5"):
        load_programs(path)
    with pytest.raises(TaskError, match="cannot be read"):
        load_programs(tmp_path / "none.jsonl")


def test_the_grammar_solves_some_shipped_tasks_and_random_programs_fewer(sandbox):
    tasks = TaskLoader().load("synthetic", "evaluation")[:12]
    searched = solved(enumeration(sandbox, 3000, max_depth=1), tasks)
    drawn = solved(random_programs(sandbox, 8), tasks)
    assert len(searched) > len(drawn)
    assert np.mean([record.num_train_fit for record in searched.values()]) >= 1
