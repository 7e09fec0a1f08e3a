"""The solver with a tiny policy and the real sandbox."""

from dataclasses import astuple

import pytest
from tiny_policies import BROKEN, FLIP, IDENTITY, PARTIAL, PROSE, TAUGHT

from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Task
from arcgym.errors import ConfigError
from arcgym.inference import Solver
from arcgym.sandbox import Status

MIRROR = Task.from_dict(
    {
        "train": [
            {"input": [[1, 2], [3, 4]], "output": [[2, 1], [4, 3]]},
            {"input": [[5, 6]], "output": [[6, 5]]},
        ],
        "test": [{"input": [[7, 8, 9]], "output": [[9, 8, 7]]}, {"input": [[1], [2]], "output": [[1], [2]]}],
    },
    task_id="mirror",
)
SAME = Task.from_dict(
    {"train": [{"input": [[1, 2]], "output": [[1, 2]]}], "test": [{"input": [[3, 4]]}]}, task_id="same"
)
HUGE = Task.from_dict(
    {"train": [{"input": [[1] * 30] * 30, "output": [[1] * 30] * 30}], "test": [{"input": [[1]], "output": [[1]]}]},
    task_id="huge",
)


@pytest.fixture
def make_solver(taught_model, byte_tokenizer, sandbox):
    def make(formatter=None, **settings):
        settings = {"num_samples": 40, "max_new_tokens": 4, "seed": 0} | settings
        return Solver(taught_model, byte_tokenizer, sandbox, formatter or TaskFormatter(), **settings)

    return make


def plain(solutions):
    """Everything about solutions as comparable data."""
    return [
        (
            solution.task_id,
            [
                (*astuple(entry)[:5], [None if grid is None else grid.tolist() for grid in entry.outputs])
                for entry in solution.candidates
            ],
            [[grid.tolist() for grid in grids] for grids in solution.attempts],
            solution.num_samples,
            solution.num_without_program,
            solution.reason,
        )
        for solution in solutions
    ]


def test_programs_are_counted_run_once_ranked_and_voted_on(make_solver):
    (solution,) = make_solver().solve([MIRROR])
    by_program = {candidate.program: candidate for candidate in solution.candidates}
    # The policy was taught five texts; a stray other one may be sampled.
    assert {FLIP, IDENTITY, PARTIAL, BROKEN} <= set(by_program)
    assert sum(candidate.count for candidate in solution.candidates) + solution.num_without_program == 40
    assert solution.num_without_program > 0
    assert solution.candidates[0].program == FLIP
    assert (by_program[FLIP].train_passed, by_program[FLIP].train_total) == (2, 2)
    assert by_program[FLIP].status is Status.OK
    assert by_program[PARTIAL].status is Status.RUNTIME_ERROR
    assert by_program[PARTIAL].train_passed == 1
    assert by_program[PARTIAL].outputs[0].tolist() == [[9, 8, 7]]
    assert by_program[PARTIAL].outputs[1] is None
    assert by_program[BROKEN].status is Status.SYNTAX_ERROR
    assert by_program[BROKEN].outputs == (None, None)
    first, second = solution.attempts
    assert [grid.tolist() for grid in first] == [[[9, 8, 7]], [[7, 8, 9]]]
    assert [grid.tolist() for grid in second] == [[[1], [2]]]
    assert PROSE not in by_program


def test_each_task_is_judged_by_its_own_pairs(make_solver):
    mirror, same = make_solver().solve([MIRROR, SAME])
    assert mirror.candidates[0].program == FLIP
    assert same.candidates[0].program == IDENTITY
    assert same.attempts[0][0].tolist() == [[3, 4]]


def test_solutions_are_the_same_alone_in_any_batch_and_twice(make_solver):
    together = plain(make_solver().solve([MIRROR, SAME]))
    assert plain(make_solver(batch_size=7).solve([SAME, MIRROR]))[::-1] == together
    assert plain(make_solver().solve([SAME])) == together[1:]
    assert plain(make_solver(seed=1).solve([MIRROR, SAME])) != together


def test_expected_test_outputs_change_nothing(make_solver):
    blind = Task.from_dict(
        {**MIRROR.to_dict(), "test": [{"input": pair.input.tolist()} for pair in MIRROR.test]}, task_id="mirror"
    )
    assert plain(make_solver().solve([blind])) == plain(make_solver().solve([MIRROR]))


def test_a_task_that_does_not_fit_is_reported_with_the_reason(make_solver, byte_tokenizer):
    solver = make_solver()
    huge, mirror = solver.solve([HUGE, MIRROR])
    assert "the model's context is 256" in huge.reason
    assert (huge.candidates, huge.attempts, huge.num_samples) == ((), ((),), 0)
    assert mirror.reason == ""
    assert mirror.candidates
    tight = make_solver(TaskFormatter(tokenizer=byte_tokenizer, budget=100))
    assert "budget is 100" in tight.solve([HUGE])[0].reason


def test_the_context_must_hold_the_program_too(make_solver, byte_tokenizer):
    length = len(byte_tokenizer(TaskFormatter().format(MIRROR).prompt)["input_ids"])
    assert make_solver(num_samples=1, max_new_tokens=256 - length).solve([MIRROR])[0].reason == ""
    assert make_solver(num_samples=1, max_new_tokens=257 - length).solve([MIRROR])[0].reason != ""


def test_greedy_takes_one_sample(make_solver):
    (solution,) = make_solver(num_samples=1, temperature=0.0).solve([MIRROR])
    assert solution.num_samples == 1
    assert len(solution.candidates) <= 1
    with pytest.raises(ConfigError, match="temperature"):
        make_solver(num_samples=2, temperature=0.0)


def test_chat_prompts_are_rendered_with_the_template(make_solver, byte_tokenizer, monkeypatch):
    template = (
        "{% for m in messages %}{{ m['role'][0] }}{% endfor %}{% if add_generation_prompt %}Program:\n{% endif %}"
    )
    monkeypatch.setattr(byte_tokenizer, "chat_template", template)
    (solution,) = make_solver(TaskFormatter(style="chat", tokenizer=byte_tokenizer)).solve([MIRROR])
    assert {candidate.program for candidate in solution.candidates} & set(TAUGHT)


def test_no_tasks_no_solutions(make_solver):
    assert make_solver().solve([]) == []
