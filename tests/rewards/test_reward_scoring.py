"""From verdicts to rewards: the arithmetic, and what it promises for any setting."""

import math
from dataclasses import fields, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_strategies import SEVERITIES, configs, flags, verdict

from arcgym.errors import ConfigError
from arcgym.rewards import RewardConfig, Shortcut, pass_rate, score_program, smallest_step
from arcgym.sandbox import Status


@pytest.mark.property(12)
@given(data=st.data(), config=configs(), size=st.integers(1, 10))
def test_reward_is_strictly_increasing_and_affine_in_the_pass_rate(data, config, size):
    hidden, num_chars = data.draw(flags(size)), data.draw(st.integers(0, 100_000))
    status = data.draw(st.sampled_from([Status.OK, Status.RUNTIME_ERROR, Status.TIMEOUT, Status.INVALID_OUTPUT]))
    order = data.draw(st.permutations(range(size)))
    # Programs that differ only in the pairs passed: the sizes of their outputs are all right or all wrong.
    shapes = [data.draw(st.booleans())] * size if status is Status.OK else None
    cells = [data.draw(st.floats(0, 1)) * float(shapes is not None and shapes[0])] * size
    ladder = [
        verdict([index in order[:count] for index in range(size)], hidden, status, shapes, num_chars, cells)
        for count in range(size + (status is Status.OK))
    ]
    rates = [pass_rate(step, config.hidden_weight) for step in ladder]
    rewards = [score_program(step, config).total for step in ladder]
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
    correctness = [score_program(step, config).correctness for step in ladder]
    assert correctness == pytest.approx([config.correctness_weight * rate for rate in rates])


@pytest.mark.property(16)
@given(data=st.data(), config=configs(), size=st.integers(1, 10))
def test_shorter_code_never_earns_less_and_length_never_outranks_correctness(data, config, size):
    hidden, shapes = data.draw(flags(size)), data.draw(flags(size))
    short, long = sorted(data.draw(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))))
    passed = data.draw(flags(size))
    cells = data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size))
    cells = [share if shape else 0.0 for share, shape in zip(cells, shapes, strict=True)]
    verdicts = [verdict(passed, hidden, Status.OK, shapes, n, cells) for n in (short, long)]
    rewards = [score_program(judged, config).total for judged in verdicts]
    assert rewards[0] >= rewards[1]
    solved = [score_program(verdict([True] * size, hidden, Status.OK, None, n), config) for n in (short, long)]
    if config.brevity_weight > 0.01 and long > short + config.brevity_scale:
        assert solved[0].total > solved[1].total
    # One more passed pair is worth more than any length, and brevity alone less than any step.
    missing = [index for index, flag in enumerate(passed) if not flag]
    if missing:
        better = [flag or index == missing[0] for index, flag in enumerate(passed)]
        worse_but_short = score_program(verdict(passed, hidden, Status.OK, shapes, short, cells), config).total
        better_but_long = score_program(verdict(better, hidden, Status.OK, shapes, long, cells), config).total
        assert better_but_long > worse_but_short
    step = smallest_step(verdict([True] * size, hidden), config)
    assert all(0 <= part.brevity < step for part in solved)


@given(config=configs(), hidden=st.lists(st.booleans(), min_size=1, max_size=6))
def test_every_error_costs_its_own_penalty_and_classes_are_ordered_by_severity(config, hidden):
    wrong = [False] * len(hidden)
    totals = [
        {status: score_program(verdict(wrong, hidden, status), config).total for status in row} for row in SEVERITIES
    ]
    for row, names in zip(totals, SEVERITIES, strict=True):
        assert row == {status: -getattr(config, names[status]) for status in row}
    answers = score_program(verdict(wrong, hidden, Status.OK), config).total
    shortcut = score_program(verdict(wrong, hidden, Status.OK, shortcut=Shortcut.IDENTITY), config).total
    for worse, milder in pairwise([*totals, {"shortcut": shortcut}]):
        assert max(worse.values()) < min(milder.values())
    assert shortcut == -config.shortcut_penalty <= answers == 0


def test_every_status_but_an_infrastructure_failure_has_a_penalty_of_its_own():
    penalties = {status: name for row in SEVERITIES for status, name in row.items() if status is not None}
    assert set(penalties) == set(Status) - {Status.OK, Status.INFRASTRUCTURE}
    assert len(set(penalties.values())) == len(penalties)
    assert set(penalties.values()) <= {entry.name for entry in fields(RewardConfig)}


@given(data=st.data(), config=configs(), size=st.integers(1, 10))
def test_near_misses_never_outrank_one_more_passed_pair(data, config, size):
    hidden, more = [data.draw(st.booleans())] * size, data.draw(st.integers(1, size))
    fewer = data.draw(st.integers(0, more - 1))
    cells = data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size))
    better = verdict([i < more for i in range(size)], hidden, num_chars=10**6)
    near = verdict([i >= size - fewer for i in range(size)], hidden, right_shape=[True] * size, cells=cells)
    assert score_program(near, config).total < score_program(better, config).total
    parts = score_program(near, config)
    assert 0 <= parts.shape and 0 <= parts.cells and parts.shape + parts.cells < config.correctness_weight / size


@given(data=st.data(), config=configs(), size=st.integers(1, 6), kind=st.sampled_from(Shortcut))
def test_a_shortcut_earns_its_share_of_correctness_and_nothing_else(data, config, size, kind):
    passed, hidden = data.draw(flags(size)), data.draw(flags(size))
    taken = verdict(passed, hidden, Status.OK, [True] * size, 10, [1.0] * size, shortcut=kind)
    parts, rate = score_program(taken, config), pass_rate(taken, config.hidden_weight)
    assert parts.correctness == pytest.approx(config.correctness_weight * config.shortcut_share * rate)
    assert parts.penalty == pytest.approx(-config.shortcut_penalty * (1 - config.shortcut_share * rate))
    assert parts.shape == parts.cells == parts.solved_bonus == parts.brevity == 0
    assert not taken.is_solved
    honest = verdict(passed, hidden, Status.OK, [True] * size, 10, [1.0] * size)
    assert parts.total <= score_program(honest, config).total
    crashed = replace(taken, status=Status.RUNTIME_ERROR)
    worse = score_program(crashed, config)
    assert worse.penalty == pytest.approx(-config.runtime_penalty * (1 - config.shortcut_share * rate))


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
    # shape: (1 − 1/3) · 0.3 of a pair's 1/3 on top of 1/3 when every size is right
    near = verdict([True, False, False], [False] * 3, Status.OK, [True] * 3, cells=[1.0, 0.75, 0.5])
    shaped = score_program(near, replace(config, shape_weight=0.3))
    assert shaped.total == pytest.approx(1 / 3 + 0.3 / 3 * 2 / 3)
    # cells: (0.75 + 0.5) / 3 · 0.3 of a pair's 1/3
    assert score_program(near, replace(config, cell_weight=0.3)).total == pytest.approx(1 / 3 + 0.3 / 3 * 1.25 / 3)
    assert score_program(near, config).total == pytest.approx(1 / 3)


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
        ({"cell_weight": -0.1}, "cell_weight"),
        ({"shape_weight": 0.5, "cell_weight": 0.5}, "`shape_weight` and `cell_weight` add up to 1.0"),
        ({"violation_penalty": 1.0}, "`syntax_penalty` is 1.0 and `violation_penalty` is 1.0"),
        ({"crash_penalty": 0.5}, "`crash_penalty` is 0.5 and `timeout_penalty` is 0.6"),
        ({"output_limit_penalty": 0.9}, "`crash_penalty` is 0.8 and `output_limit_penalty` is 0.9"),
        ({"memory_penalty": 0.4}, "`memory_penalty` is 0.4 and `runtime_penalty` is 0.4"),
        ({"output_penalty": 0.0}, "`output_penalty` is 0.0 and `shortcut_penalty` is 0.0"),
        ({"shortcut_penalty": -0.1}, "shortcut_penalty"),
        ({"shortcut_share": 1.1}, "shortcut_share"),
        ({"normalization": "groups"}, "did you mean `group`"),
        ({"normalization_decay": 1.5}, "normalization_decay"),
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
