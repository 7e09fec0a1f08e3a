"""The calculator through the real sandbox, called as TRL calls it."""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reward_strategies import TEST, TRAIN, TrlCall, configs, flags, verdict

from arcgym.data import Task, TaskFormatter
from arcgym.errors import TaskError
from arcgym.rewards import RewardCalculator, RewardConfig, Shortcut, score_program
from arcgym.sandbox import CodeSandbox, Status

IDENTITY = "def transform(grid):\n    return grid\n"
FLIP = "def transform(grid):\n    return grid[:, ::-1]\n"


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
    shortcut = data.draw(st.sampled_from([None, *Shortcut]))
    failing = verdict(passed, hidden, status, data.draw(flags(size)), data.draw(st.integers(0, 9)), shortcut=shortcut)
    other = score_program(failing, config)
    assert other.correctness < best.correctness
    assert other.solved_bonus == other.brevity == 0
    assert other.total < config.correctness_weight + config.solved_bonus <= best.total


@pytest.fixture
def trl_call(sandbox):
    return TrlCall(RewardCalculator(sandbox))


def test_rewards_metrics_and_columns_of_a_mixed_batch(trl_call):
    table = "def transform(grid):\n    return {5: [[6, 5]], 1: [[2, 1], [4, 3]]}.get(int(grid[0, 0]), [[0]])\n"
    narrow = "def transform(grid):\n    return grid[:, ::-1] if grid.shape[1] < 3 else grid\n"
    completions = [
        FLIP,
        IDENTITY,
        "I do not know.",
        "def transform(grid:\n",
        f"Sure.\n```python\n{FLIP}```\n",
        table,
        narrow,
    ]
    rewards = trl_call(completions)
    brevity = 0.1 / 3 / (1 + len(FLIP.strip()) / 500)
    assert rewards == pytest.approx([2 + brevity, 0, -1, -1, 2 + brevity, 0, 2 / 3])
    assert trl_call.extra["program_status"] == ["ok", "ok", "no_program", "syntax_error", "ok", "ok", "ok"]
    assert trl_call.extra["pairs_passed"] == ["3/3", "0/3", "0/3", "0/3", "3/3", "2/3", "2/3"]
    assert trl_call.extra["program_shortcut"] == ["", "identity", "", "", "", "lookup", ""]
    metrics = {name: value for name, (value,) in trl_call.metrics.items()}
    assert metrics["programs/valid_frac"] == pytest.approx(5 / 7)
    assert metrics["programs/no_program_frac"] == pytest.approx(1 / 7)
    assert metrics["programs/syntax_error_frac"] == pytest.approx(1 / 7)
    assert metrics["programs/timeout_frac"] == 0
    assert metrics["programs/solved_frac"] == pytest.approx(2 / 7)
    assert metrics["tasks/solved_frac"] == 1
    assert metrics["rewards/pass_rate"] == pytest.approx((1 + 0 + 0 + 0 + 1 + 2 / 3 + 2 / 3) / 7)
    # the look-up table and the narrow rule pass what is shown and nothing else
    assert metrics["rewards/hidden_gap"] == pytest.approx(2 / 7)
    assert metrics["programs/lookup_frac"] == metrics["programs/identity_frac"] == pytest.approx(1 / 7)
    assert metrics["programs/constant_frac"] == 0
    # the second FLIP is the same program, and answers the same
    assert metrics["programs/distinct_frac"] == pytest.approx(5 / 7)
    assert metrics["programs/distinct_outputs_frac"] == pytest.approx(4 / 7)
    assert 0 < metrics["programs/repetition"] < 0.5
    parts = ["correctness", "shape", "cells", "solved_bonus", "brevity", "penalty"]
    assert sum(metrics[f"rewards/{part}"] for part in parts) == pytest.approx(sum(rewards) / 7)
    assert metrics["rewards/unnormalized"] == pytest.approx(sum(rewards) / 7)
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


def test_each_failure_has_a_setting_of_its_own(sandbox):
    call = TrlCall(RewardCalculator(sandbox, RewardConfig(timeout_penalty=0.7, memory_penalty=0.5, crash_penalty=0.9)))
    bodies = ["while True: pass", "return bytearray(10**10)", "import os; os._exit(0)"]
    assert call([f"def transform(grid):\n    {body}\n" for body in bodies]) == pytest.approx([-0.7, -0.5, -0.9])


def test_near_misses_are_paid_by_the_cells_that_are_right(sandbox):
    # 3 of 4, 0 of 2 and 1 of 3 cells, in pairs that are worth 1/3 each
    program = "def transform(grid):\n    out = grid[:, ::-1] + 0\n    out[0, 1:] = 0\n    return out[:, :3]\n"
    call = TrlCall(RewardCalculator(sandbox, RewardConfig(cell_weight=0.5)))
    expected = (3 / 4 + 1 / 2 + 1 / 3) / 3 / 3 * 0.5
    assert call([program]) == pytest.approx([expected])
    assert call.metrics["rewards/cells"] == pytest.approx([expected])


def test_a_held_out_demonstration_counts_as_hidden(sandbox):
    task = Task.from_dict({"train": [*TRAIN, *TEST], "test": [{"input": [[5, 5, 1]]}]}, task_id="t")
    rows = TaskFormatter().dataset([task]).dataset
    call = TrlCall(RewardCalculator(sandbox))
    columns = {name: rows[0][name] for name in ("train", "test", "shown")}
    held_out = ({0, 1, 2} - set(columns["shown"])).pop()
    wrong_there = f"def transform(grid):\n    return grid if grid.size == {np.size(task.train[held_out].input)} else "
    rewards = call([FLIP, wrong_there + "grid[:, ::-1]\n"], **columns)
    assert rewards[0] > 2
    assert rewards[1] == pytest.approx(2 / 3)
    assert call.metrics["rewards/hidden_pass_rate"] == [0.5]
    assert call.metrics["rewards/shown_pass_rate"] == [1]


@pytest.mark.parametrize("mode", ["group", "running"])
def test_normalized_rewards_compare_programs_of_one_task(sandbox, mode):
    call = TrlCall(RewardCalculator(sandbox, RewardConfig(normalization=mode, brevity_weight=0.0)))
    rewards = call([FLIP, IDENTITY, FLIP, "none", "none"], task_id=["a", "a", "a", "b", "b"])
    assert rewards == pytest.approx([0.5**0.5, -(2**0.5), 0.5**0.5, 0, 0])
    assert call.metrics["rewards/unnormalized"] == [pytest.approx((2 + 0 + 2 - 1 - 1) / 5)]


def test_running_statistics_are_in_the_state(sandbox):
    config = RewardConfig(normalization="running")
    calls = [TrlCall(RewardCalculator(sandbox, config)) for _ in range(2)]
    calls[0]([FLIP, IDENTITY])
    assert calls[0](["none"]) != calls[1](["none"])  # one remembers better programs for the task
    state = json.loads(json.dumps(calls[0].reward_func.state_dict()))
    calls[1].reward_func.load_state_dict(state)
    assert calls[0](["none"]) == calls[1](["none"])
    with pytest.raises(ValueError, match="not a state"):
        calls[1].reward_func.load_state_dict({"normalizer": {"tasks": {"a": [1.0]}}})


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
