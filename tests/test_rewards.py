"""Rewards: the arithmetic on verdicts, and the calculator through the real sandbox, called as TRL calls it."""

import math
from collections import defaultdict
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arcgym.errors import ConfigError, TaskError
from arcgym.rewards import (
    PairVerdict,
    RewardCalculator,
    RewardConfig,
    Verdict,
    pass_rate,
    score_program,
    smallest_step,
)
from arcgym.sandbox import CodeSandbox, Status

IDENTITY = "def transform(grid):\n    return grid\n"
FLIP = "def transform(grid):\n    return grid[:, ::-1]\n"

# Severity classes, worst first, as DESIGN section 6 orders them.
SEVERITIES = [
    [None, Status.SYNTAX_ERROR],
    [Status.CRASHED, Status.SECURITY_VIOLATION],
    [Status.TIMEOUT, Status.MEMORY, Status.OUTPUT_LIMIT],
    [Status.RUNTIME_ERROR],
    [Status.INVALID_OUTPUT],
    [Status.OK],
]


@pytest.fixture(scope="module")
def sandbox():
    with CodeSandbox(timeout_s=1.0, workers=1, allow_weak=True) as sandbox:
        yield sandbox


@st.composite
def configs(draw):
    penalties = sorted(draw(st.sets(st.floats(0.01, 5), min_size=5, max_size=5)), reverse=True)
    return RewardConfig(
        correctness_weight=draw(st.floats(0.1, 10)),
        hidden_weight=draw(st.floats(0.1, 10)),
        solved_bonus=draw(st.floats(0, 5)),
        brevity_weight=draw(st.floats(0, 0.99)),
        brevity_scale=draw(st.floats(1, 10_000)),
        shape_weight=draw(st.floats(0, 0.99)),
        **dict(
            zip(
                ["syntax_penalty", "violation_penalty", "limit_penalty", "runtime_penalty", "output_penalty"],
                penalties,
                strict=True,
            )
        ),
    )


def verdict(passed, hidden, status=Status.OK, right_shape=None, num_chars=100):
    shapes = passed if right_shape is None else [a or b for a, b in zip(passed, right_shape, strict=True)]
    return Verdict(status, tuple(map(PairVerdict, hidden, passed, shapes)), num_chars)


def flags(size):
    return st.lists(st.booleans(), min_size=size, max_size=size)


@pytest.mark.property(12)
@given(data=st.data(), config=configs(), size=st.integers(1, 10))
def test_reward_is_strictly_increasing_and_affine_in_the_pass_rate(data, config, size):
    hidden, num_chars = data.draw(flags(size)), data.draw(st.integers(0, 100_000))
    status = data.draw(st.sampled_from([Status.OK, Status.RUNTIME_ERROR, Status.TIMEOUT, Status.INVALID_OUTPUT]))
    order = data.draw(st.permutations(range(size)))
    # Programs that differ only in the pairs passed: the sizes of their outputs are all right or all wrong.
    shapes = [data.draw(st.booleans())] * size if status is Status.OK else None
    shape_config = config if shapes is not None and shapes[0] else replace(config, shape_weight=0.0)
    ladder = [
        verdict([index in order[:count] for index in range(size)], hidden, status, shapes, num_chars)
        for count in range(size + (status is Status.OK))
    ]
    rates = [pass_rate(step, config.hidden_weight) for step in ladder]
    rewards = [score_program(step, shape_config).total for step in ladder]
    assert all(low < high for low, high in pairwise(rewards))
    # Below the bonus for solving everything, all rungs lie on the line through the lowest and 1.
    unsolved = [
        (rate, reward) for rate, reward, step in zip(rates, rewards, ladder, strict=True) if not step.is_solved
    ]
    if len(unsolved) >= 2:
        (x0, y0), (x1, y1) = unsolved[0], unsolved[-1]
        slope = (y1 - y0) / (x1 - x0)
        assert slope > 0
        assert all(reward == pytest.approx(y0 + slope * (rate - x0), abs=1e-9) for rate, reward in unsolved)
    correctness = [score_program(step, shape_config).correctness for step in ladder]
    assert correctness == pytest.approx([config.correctness_weight * rate for rate in rates])


@pytest.mark.property(15)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), config=configs())
def test_a_perfect_program_earns_the_maximum_and_no_failing_program_reaches_it(sandbox, data, config):
    side = data.draw(st.integers(2, 5))
    cells = st.lists(st.lists(st.integers(1, 9), min_size=side, max_size=side), min_size=side, max_size=side)
    inputs = data.draw(st.lists(cells, min_size=2, max_size=4, unique_by=str))
    pairs = [{"input": rows, "output": [[0, *row[1:]] for row in rows]} for rows in inputs]
    padding = "#" * data.draw(st.integers(0, 3000))
    perfect = f"def transform(grid):\n    out = grid.copy()\n    out[:, 0] = 0\n    return out\n{padding}\n"
    failing = [
        "def transform(g): return g\n",
        # right on all pairs but one
        perfect.replace("    out", f"    if grid.tolist() == {inputs[-1]}: return grid\n    out", 1),
        perfect.replace("    out", f"    if grid.tolist() == {inputs[0]}: 1 / 0\n    out", 1),
        "def transform(g): return None\n",
        "def transform(g) return g\n",
        "no program",
    ]
    completions = [perfect, *failing]
    rewards = RewardCalculator(sandbox, config)(
        ["p"] * len(completions),
        completions,
        train=[pairs[:-1]] * len(completions),
        test=[pairs[-1:]] * len(completions),
    )
    assert all(reward < rewards[0] for reward in rewards[1:])
    assert rewards[0] >= config.correctness_weight + config.solved_bonus
    # The same for verdicts that no short list of programs covers.
    size, hidden = len(pairs), [False] * (len(pairs) - 1) + [True]
    best = score_program(verdict([True] * size, hidden, num_chars=len(perfect.strip())), config)
    assert best.total == pytest.approx(rewards[0])
    passed = data.draw(flags(size).filter(lambda passed: not all(passed)))
    status = data.draw(st.sampled_from([None, *(status for status in Status if status is not Status.INFRASTRUCTURE)]))
    other = score_program(
        verdict(passed, hidden, status, data.draw(flags(size)), data.draw(st.integers(0, 9))), config
    )
    assert other.correctness < best.correctness
    assert other.solved_bonus == other.brevity == 0
    assert other.total < config.correctness_weight + config.solved_bonus <= best.total


@pytest.mark.property(16)
@given(data=st.data(), config=configs(), size=st.integers(1, 10))
def test_shorter_code_never_earns_less_and_length_never_outranks_correctness(data, config, size):
    hidden, shapes = data.draw(flags(size)), data.draw(flags(size))
    short, long = sorted(data.draw(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))))
    passed = data.draw(flags(size))
    rewards = [score_program(verdict(passed, hidden, Status.OK, shapes, n), config).total for n in (short, long)]
    assert rewards[0] >= rewards[1]
    solved = [score_program(verdict([True] * size, hidden, Status.OK, None, n), config) for n in (short, long)]
    if config.brevity_weight > 0.01 and long > short + config.brevity_scale:
        assert solved[0].total > solved[1].total
    # One more passed pair is worth more than any length, and brevity alone less than any step.
    missing = [index for index, flag in enumerate(passed) if not flag]
    if missing:
        better = [flag or index == missing[0] for index, flag in enumerate(passed)]
        worse_but_short = score_program(verdict(passed, hidden, Status.OK, shapes, short), config).total
        better_but_long = score_program(verdict(better, hidden, Status.OK, shapes, long), config).total
        assert better_but_long > worse_but_short
    step = smallest_step(verdict([True] * size, hidden), config)
    assert all(0 <= part.brevity < step for part in solved)


@given(config=configs(), hidden=st.lists(st.booleans(), min_size=1, max_size=6))
def test_penalties_are_ordered_by_severity(config, hidden):
    wrong = [False] * len(hidden)
    totals = [{score_program(verdict(wrong, hidden, status), config).total for status in row} for row in SEVERITIES]
    assert all(len(row) == 1 for row in totals)
    values = [row.pop() for row in totals]
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    assert values[-1] == 0


def test_golden_reward_by_hand():
    config = RewardConfig()
    # 2 shown passed, hidden failed, wrong size there
    assert score_program(verdict([True, True, False], [False, False, True]), config).total == pytest.approx(2 / 3)
    # solved by 500 characters: 1 + 1 + 0.1 · (1/3) / 2
    solved = score_program(verdict([True] * 3, [False, False, True], num_chars=500), config)
    assert solved.total == pytest.approx(2 + 0.1 / 6)
    # raises on one pair of three: 2/3 − 0.4/3
    partial = score_program(verdict([True, True, False], [False] * 3, Status.RUNTIME_ERROR), config)
    assert partial.total == pytest.approx(2 / 3 - 0.4 / 3)
    # hidden pair counts double: (1 + 2) / 4
    heavy = replace(config, hidden_weight=2.0)
    assert score_program(verdict([True, False, True], [False, False, True]), heavy).total == pytest.approx(3 / 4)
    # shape: (1 − 1/3) · 0.1 on top of 1/3 when every size is right
    shaped = replace(config, shape_weight=0.1)
    verdict_ = verdict([True, False, False], [False] * 3, Status.OK, [True] * 3)
    assert score_program(verdict_, shaped).total == pytest.approx(1 / 3 + 0.1 * 2 / 3)


def test_infrastructure_failure_is_no_reward():
    assert score_program(verdict([False], [False], Status.INFRASTRUCTURE), RewardConfig()) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"correctness_weight": 0.0}, "correctness_weight"),
        ({"hidden_weight": -1.0}, "hidden_weight"),
        ({"solved_bonus": -0.1}, "solved_bonus"),
        ({"brevity_weight": 1.0}, "brevity_weight"),
        ({"shape_weight": 1.5}, "shape_weight"),
        ({"brevity_scale": 0.0}, "brevity_scale"),
        ({"violation_penalty": 1.0}, "penalties"),
        ({"output_penalty": 0.0}, "penalties"),
        ({"solved_bonus": math.nan}, "solved_bonus"),
        ({"solved_bonus": "1"}, "solved_bonus"),
        ({"solved_bonus": True}, "solved_bonus"),
    ],
)
def test_config_refuses_what_would_break_a_promise(changes, named):
    with pytest.raises(ConfigError, match=named):
        RewardConfig(**changes)


def test_every_config_field_has_help():
    assert all(entry.metadata["help"] for entry in fields(RewardConfig))


TRAIN = [{"input": [[1, 2], [3, 4]], "output": [[2, 1], [4, 3]]}, {"input": [[5, 6]], "output": [[6, 5]]}]
TEST = [{"input": [[7, 8, 9]], "output": [[9, 8, 7]]}]


class TrlCall:
    """Calls a reward function with what TRL 1.16's `_calculate_rewards` passes, and keeps what it logs."""

    def __init__(self, reward_func):
        self.reward_func = reward_func
        self.metrics = defaultdict(list)
        self.extra = defaultdict(list)

    def __call__(self, completions, train=TRAIN, test=TEST, shown=(0, 1), **columns):
        size = len(completions)
        return self.reward_func(
            prompts=["p"] * size,
            completions=completions,
            completion_ids=[[1]] * size,
            task_id=["t"] * size,
            source=[""] * size,
            train=[train] * size,
            test=[test] * size,
            shown=[list(shown)] * size,
            trainer_state=None,
            log_extra=lambda column, values: self.extra[column].extend(values),
            log_metric=lambda name, value: self.metrics[name].append(value),
            **columns,
        )


@pytest.fixture
def trl_call(sandbox):
    return TrlCall(RewardCalculator(sandbox))


def test_rewards_metrics_and_columns_of_a_mixed_batch(trl_call):
    table = "def transform(grid):\n    return {5: [[6, 5]], 1: [[2, 1], [4, 3]]}.get(int(grid[0, 0]), [[0]])\n"
    completions = [FLIP, IDENTITY, "I do not know.", "def transform(grid:\n", f"Sure.\n```python\n{FLIP}```\n", table]
    rewards = trl_call(completions)
    brevity = 0.1 / 3 / (1 + len(FLIP.strip()) / 500)
    assert rewards == pytest.approx([2 + brevity, 0, -1, -1, 2 + brevity, 2 / 3])
    assert trl_call.extra["program_status"] == ["ok", "ok", "no_program", "syntax_error", "ok", "ok"]
    assert trl_call.extra["pairs_passed"] == ["3/3", "0/3", "0/3", "0/3", "3/3", "2/3"]
    metrics = {name: value for name, (value,) in trl_call.metrics.items()}
    assert metrics["programs/valid_frac"] == pytest.approx(4 / 6)
    assert metrics["programs/no_program_frac"] == pytest.approx(1 / 6)
    assert metrics["programs/syntax_error_frac"] == pytest.approx(1 / 6)
    assert metrics["programs/timeout_frac"] == 0
    assert metrics["programs/solved_frac"] == pytest.approx(2 / 6)
    assert metrics["tasks/solved_frac"] == 1
    assert metrics["rewards/pass_rate"] == pytest.approx((1 + 0 + 0 + 0 + 1 + 2 / 3) / 6)
    # the look-up table passes what is shown and nothing else
    assert metrics["rewards/hidden_gap"] == pytest.approx(1 / 6)
    parts = ["correctness", "shape", "solved_bonus", "brevity", "penalty"]
    assert sum(metrics[f"rewards/{part}"] for part in parts) == pytest.approx(sum(rewards) / 6)
    assert all(math.isfinite(value) for value in metrics.values())


def test_every_status_has_a_metric(trl_call):
    trl_call([FLIP])
    for status in Status:
        assert status is Status.OK or f"programs/{status.value}_frac" in trl_call.metrics


@pytest.mark.parametrize(
    ("body", "reward", "status"),
    [
        ("while True: pass", -0.6, "timeout"),
        ("return bytearray(10**10)", -0.6, "memory"),
        ("raise KeyError('no')", -0.4, "runtime_error"),
        ("return 'a'", -0.2, "invalid_output"),
        ("import os; os._exit(0)", -0.8, "crashed"),
    ],
)
def test_each_failure_costs_what_its_severity_says(trl_call, body, reward, status):
    assert trl_call([f"def transform(grid):\n    {body}\n"]) == pytest.approx([reward])
    assert trl_call.extra["program_status"] == [status]
    assert trl_call.extra["program_error"] != [""]


def test_a_program_without_transform_costs_as_much_as_none(trl_call):
    assert trl_call(["import numpy\n", "def solve(grid):\n    return grid\n", "no"]) == pytest.approx([-1] * 3)


def test_a_crash_voids_the_answers_given_before(trl_call):
    program = "import os\ndef transform(grid):\n    if grid.shape == (1, 3): os._exit(0)\n    return grid[:, ::-1]\n"
    assert trl_call([program]) == pytest.approx([-0.8])


def test_pairs_that_the_prompt_leaves_out_are_hidden(trl_call):
    first_only = "def transform(grid):\n    return [[2, 1], [4, 3]]\n"
    trl_call([first_only], shown=(0,))
    assert trl_call.metrics["rewards/shown_pass_rate"] == [1]
    assert trl_call.metrics["rewards/hidden_pass_rate"] == [0]
    assert trl_call.metrics["rewards/hidden_gap"] == [1]


@pytest.mark.parametrize("unknown", [{"input": [[7, 8, 9]]}, {"input": [[7, 8, 9]], "output": None}])
def test_a_test_pair_without_output_is_not_scored(trl_call, unknown):
    assert trl_call([FLIP], test=[unknown])[0] > 2
    assert trl_call.extra["pairs_passed"] == ["2/2"]
    assert "rewards/hidden_gap" not in trl_call.metrics


def test_chat_messages_and_arrays_are_understood(trl_call):
    train = [{side: np.array(rows) for side, rows in pair.items()} for pair in TRAIN]
    assert trl_call([[{"role": "assistant", "content": FLIP}]], train=train) == trl_call([FLIP])


class CountingSandbox(CodeSandbox):
    """The real sandbox; keeps the programs of each call."""

    def run(self, programs, inputs):
        self.calls = [*getattr(self, "calls", []), list(programs)]
        return super().run(programs, inputs)


def test_one_batch_per_call_and_each_program_once_per_task():
    other = [{"input": rows, "output": rows} for rows in ([[1, 2]], [[3, 4]])]  # as many pairs as TRAIN has
    with CountingSandbox(workers=1, allow_weak=True) as sandbox:
        rewards = RewardCalculator(sandbox)(
            ["p"] * 6,
            [FLIP, FLIP, IDENTITY, FLIP, IDENTITY, "none"],
            train=[TRAIN, TRAIN, TRAIN, other, other, other],
            test=[TEST] * 3 + [[]] * 3,
            shown=[[0, 1]] * 6,
        )
    assert sandbox.calls == [[FLIP, IDENTITY, FLIP, IDENTITY]]
    assert [reward > 2 for reward in rewards] == [True, True, False, False, True, False]


def test_nothing_to_run_is_no_problem(trl_call):
    assert trl_call(["none"]) == [-1]
    assert trl_call([]) == []


def test_the_name_in_the_logs(sandbox):
    assert RewardCalculator(sandbox).__name__ == "program_reward"  # TRL's get_callable_name reads it


def test_columns_of_another_length_are_refused(sandbox):
    with pytest.raises(ValueError, match="`test` has 1 entries for 2"):
        RewardCalculator(sandbox)(["p"] * 2, [FLIP] * 2, train=[TRAIN] * 2, test=[TEST])


def test_bad_tasks_are_an_error_that_names_them(trl_call):
    with pytest.raises(TaskError, match="task t cannot be scored"):
        trl_call([FLIP], train=[{"input": [[1]], "output": [[10]]}])
    with pytest.raises(TaskError, match="task t has no pair"):
        trl_call([FLIP], train=[], test=[{"input": [[1]]}])
