"""Repair: what the policy is told, which programs go back, and a scripted policy that learns from what it is told."""

import numpy as np
import pytest
from scripted import Scripted
from tiny_policies import FLIP, IDENTITY, PARTIAL

from arcgym.data.formatting import TaskFormatter
from arcgym.data.tasks import Task
from arcgym.inference import SearchConfig, Solver
from arcgym.inference.repair import Arm, choose_arms, feedback, repair_prompt
from arcgym.rewards import run_programs

MIRROR = Task.from_dict(
    {
        "train": [
            {"input": [[1, 2], [3, 4]], "output": [[2, 1], [4, 3]]},
            {"input": [[5, 6]], "output": [[6, 5]]},
        ],
        "test": [{"input": [[7, 8, 9]]}],
    },
    task_id="mirror",
)
WIDE = "def transform(grid):\n    import numpy as np\n    return np.hstack([grid, grid])\n"
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"
)


def result_of(sandbox, program, task=MIRROR):
    return run_programs(sandbox, [program], [[pair.input for pair in (*task.train, *task.test)]])[0]


def test_feedback_names_the_wrong_cells(sandbox):
    told = feedback(TaskFormatter(), MIRROR, result_of(sandbox, IDENTITY))
    assert "Example 1: wrong. It gave\n12\n34\nwhich differs in 4 of 4 cells:" in told
    assert "row 0, column 0: 1 instead of 2" in told and "row 1, column 1: 4 instead of 3" in told
    assert "Example 2: wrong." in told and "failed" not in told
    assert "7" not in told, "nothing of the questions"


def test_feedback_names_error_line_and_what_was_right(sandbox):
    told = feedback(TaskFormatter(), MIRROR, result_of(sandbox, PARTIAL))
    assert "It failed at line 2 with AssertionError" in told and "assert grid.shape[0] == 1" in told
    assert "Example 1: it gave no grid." in told and "Example 2: right." in told


def test_feedback_compares_shapes_and_bounds_what_it_lists(sandbox):
    told = feedback(TaskFormatter(), MIRROR, result_of(sandbox, WIDE))
    assert "which is 2 x 4 instead of 2 x 2. Wanted is\n21\n43\n" in told
    large = Task.from_dict(
        {"train": [{"input": [[1] * 20], "output": [[2] * 20]}], "test": [{"input": [[1]]}]}, task_id="large"
    )
    told = feedback(TaskFormatter(), large, result_of(sandbox, IDENTITY, large))
    assert told.count("instead of") == 12 and f"and 8 more. Wanted is\n{'2' * 20}\n" in told


def test_a_chat_goes_on_and_a_text_too(sandbox, byte_tokenizer, monkeypatch):
    monkeypatch.setattr(byte_tokenizer, "chat_template", TEMPLATE)
    result = result_of(sandbox, IDENTITY)
    messages = repair_prompt(TaskFormatter(style="chat", tokenizer=byte_tokenizer), MIRROR, IDENTITY, result)
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"] == f"```python\n{IDENTITY.rstrip()}\n```"
    assert "row 0, column 0" in messages[3]["content"]
    text = repair_prompt(TaskFormatter(), MIRROR, IDENTITY, result)
    assert text.startswith(TaskFormatter().format(MIRROR).prompt + IDENTITY) and text.endswith("Program:\n")


def counts(arms, greed, draws=400):
    chosen = choose_arms(arms, 1, greed, np.random.default_rng(0)) + [
        choose_arms(arms, 1, greed, np.random.default_rng(seed))[0] for seed in range(1, draws)
    ]
    return np.bincount(chosen, minlength=len(arms)) / draws


def test_better_programs_are_preferred_and_failures_count_against_them():
    assert choose_arms([], 3, 20, np.random.default_rng(0)) == []
    good, bad = counts([Arm(0.75, 0), Arm(0.25, 0)], 20)
    assert good > 0.97
    good, bad = counts([Arm(0.75, 40), Arm(0.25, 0)], 20)
    assert bad > 0.5, "Beta(16, 46) has a mean of 0.26, Beta(6, 16) one of 0.27, and is wider"
    assert counts([Arm(1.0, 0), Arm(0.0, 0)], 0) == pytest.approx(0.5, abs=0.1)


def test_one_round_does_not_bet_everything_on_one_program():
    chosen = choose_arms([Arm(0.5, 0), Arm(0.5, 0)], 40, 2.0, np.random.default_rng(0))
    assert 10 < chosen.count(0) < 30


@pytest.fixture
def solver(byte_tokenizer, sandbox, monkeypatch):
    monkeypatch.setattr(byte_tokenizer, "chat_template", TEMPLATE)

    def make(answer, num_samples=2, **search):
        backend = Scripted(byte_tokenizer, answer)
        formatter = TaskFormatter(style="chat", tokenizer=byte_tokenizer)
        search = SearchConfig(**{"repair_rounds": 3, "repair_size": 2} | search)
        return Solver(
            None,
            byte_tokenizer,
            sandbox,
            formatter,
            num_samples=num_samples,
            max_new_tokens=100,
            search=search,
            backend=backend,
        )

    return make


def learns(text, number):
    """Wrong until it is told that a line fails; then right."""
    if "It failed at line 2" in text:
        return f"Of course:\n```python\n{FLIP}```"
    return PARTIAL if "which differs in" in text else IDENTITY


def test_a_policy_that_listens_gets_there(solver):
    solver = solver(learns)
    (solution,) = solver.solve([MIRROR])
    assert solution.candidates[0].program == FLIP and solution.candidates[0].is_train_fit
    assert solution.attempts[0][0].tolist() == [[9, 8, 7]]
    assert (solution.num_repairs, solution.num_samples, solution.ended) in {(4, 6, "repaired"), (6, 8, "repaired")}
    (again,) = solver.solve([MIRROR])
    assert again.num_repairs == solution.num_repairs, "the bandit draws by the seed"


def test_repairs_end_and_are_not_begun_where_a_program_fits(solver):
    stubborn = solver(lambda text, number: IDENTITY)
    (solution,) = stubborn.solve([MIRROR])
    assert (solution.num_samples, solution.num_repairs, solution.ended) == (8, 6, "samples")
    (solution,) = solver(lambda text, number: FLIP).solve([MIRROR])
    assert (solution.num_samples, solution.num_repairs) == (2, 0)
    (solution,) = solver(lambda text, number: "no idea").solve([MIRROR])
    assert (solution.num_samples, solution.num_without_program, solution.candidates) == (2, 2, ())


def test_a_conversation_that_grows_too_long_is_not_held(solver, byte_tokenizer):
    short = solver(learns)
    length = len(short.encode(MIRROR, short.formatter.format(MIRROR).prompt))
    short.backend.context = length + 100 + 40  # room for the task and a program, not for what to say of it
    (solution,) = short.solve([MIRROR])
    assert (solution.num_repairs, solution.num_samples, solution.ended) == (0, 2, "samples")
