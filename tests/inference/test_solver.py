"""The solver with a tiny policy and the real sandbox."""

from dataclasses import astuple

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tiny_policies import BROKEN, FLIP, IDENTITY, PARTIAL, PROSE, TAUGHT

from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Pair, Task
from arcgym.errors import ConfigError
from arcgym.grids import as_grid
from arcgym.inference import SearchConfig, Solver
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


def test_a_solver_needs_something_to_generate_with(byte_tokenizer, sandbox):
    with pytest.raises(ConfigError, match="neither"):
        Solver(None, byte_tokenizer, sandbox, TaskFormatter())


SCHEDULE = ["greedy", "beam:1", "diverse_beam:1,groups=2,penalty=1", "sample:3,temperature=1.5"]


def test_a_mixed_schedule_with_views_gives_the_same_in_rounds_and_at_once(make_solver):
    def solve(**search):
        solver = make_solver(num_samples=27, search=SearchConfig(schedule=SCHEDULE, views=2, **search))
        return plain(solver.solve([MIRROR, SAME]))

    at_once = solve()
    assert solve(round_size=4) == at_once
    (_, candidates, _, num_samples, num_without_program, _), _ = at_once
    assert sum(entry[1] for entry in candidates) + num_without_program == num_samples == 27


def test_log_probabilities_rank_the_programs_of_a_policy(make_solver, taught_model, byte_tokenizer):
    (solution,) = make_solver().solve([MIRROR])
    prompt = byte_tokenizer(TaskFormatter().format(MIRROR).prompt)["input_ids"]
    with torch.no_grad():
        for candidate in solution.candidates:
            (token,) = byte_tokenizer(candidate.program)["input_ids"] if candidate.program in TAUGHT else (None,)
            if token is None:
                continue
            ids = torch.tensor([[*prompt, token, byte_tokenizer.eos_token_id]])
            logits = taught_model(ids).logits[0, len(prompt) - 1 :].log_softmax(dim=-1)
            expected = float(logits[0, token] + logits[1, byte_tokenizer.eos_token_id])
            # by another way to end, a program may have been more probable
            assert candidate.log_prob >= expected - 1e-3 and candidate.log_prob < 0


@st.composite
def small_tasks(draw, task_id="t"):
    grids = npst.arrays("int8", st.tuples(st.integers(1, 2), st.integers(1, 3)), elements=st.integers(0, 9)).map(
        as_grid
    )
    train = draw(st.lists(st.builds(Pair, grids, grids), min_size=1, max_size=2))
    return Task(task_id, tuple(train), (Pair(draw(grids), None),))


@pytest.mark.property(29)
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(task=small_tasks(), seeds=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)))
def test_greedy_and_beam_are_deterministic_and_sampling_gives_at_least_as_many_programs(make_solver, task, seeds):
    def solve(schedule, num_samples, seed):
        solver = make_solver(num_samples=num_samples, seed=seed, search=SearchConfig(schedule=schedule))
        return plain(solver.solve([task]))

    greedy, again = (solve(["greedy"], 1, seed) for seed in seeds)
    assert again == greedy
    for stage in ("beam", "diverse_beam"):
        beams, again = (solve([stage], 3, seed) for seed in seeds)
        assert again == beams
    distinct = [len(solve(["sample"], number, seeds[0])[0][1]) for number in (1, 16)]
    assert distinct == sorted(distinct)
    assert distinct[-1] >= len(greedy[0][1])


@pytest.mark.property(30)
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tasks=st.integers(2, 4).flatmap(lambda count: st.tuples(*(small_tasks(f"t{index}") for index in range(count)))),
    batch_size=st.integers(1, 6),
)
def test_greedy_programs_are_the_same_alone_and_in_any_batch(make_solver, taught_model, tasks, batch_size):
    assume(taught_model.dtype == torch.float32)
    together = make_solver(num_samples=1, temperature=0.0, batch_size=batch_size).solve(tasks)
    alone = [make_solver(num_samples=1, temperature=0.0).solve([task])[0] for task in tasks]
    assert plain(together) == plain(alone)
