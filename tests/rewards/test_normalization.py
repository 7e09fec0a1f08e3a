"""Rewards on one scale per task."""

import json
import statistics
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcgym.rewards import RewardNormalizer
from arcgym.rewards.normalization import TaskStatistics

rewards_of_tasks = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.floats(-3, 3, width=16) | st.sampled_from([-1.0, 0.0, 2.1])),
    max_size=24,
)


def grouped(tasks, *columns):
    groups = defaultdict(list)
    for task, *values in zip(tasks, *columns, strict=True):
        groups[task].append(values)
    return groups


@pytest.mark.property(17)
@given(rewards_of_tasks, st.sampled_from(["group", "running"]), rewards_of_tasks)
def test_normalised_groups_have_mean_0_and_unit_spread_and_keep_their_order(drawn, mode, earlier):
    normalizer = RewardNormalizer(mode)
    if mode == "running":
        normalizer.normalize([reward for _, reward in earlier], [task for task, _ in earlier])
    tasks, rewards = [task for task, _ in drawn], [reward for _, reward in drawn]
    normalized = normalizer.normalize(rewards, tasks)
    assert [value is None for value in normalized] == [reward is None for reward in rewards]
    assert all(np.isfinite(value) for value in normalized if value is not None)
    for task, pairs in grouped(tasks, rewards, normalized).items():
        before = [reward for reward, _ in pairs if reward is not None]
        after = [value for reward, value in pairs if reward is not None]
        seen = [reward for name, reward in earlier if name == task and reward is not None]
        is_constant = len(set(before)) < 2
        if is_constant and (mode == "group" or not seen):
            assert after == [0.0] * len(before)
        elif mode == "group" or not seen:
            assert statistics.fmean(after) == pytest.approx(0, abs=1e-9)
            assert statistics.pstdev(after) == pytest.approx(1)
        order = np.array(before)[:, None] - np.array(before)[None]
        assert np.array_equal(np.sign(order), np.sign(np.array(after)[:, None] - np.array(after)[None]))


def test_running_statistics_by_hand():
    normalizer = RewardNormalizer("running", decay=0.75)
    assert normalizer.normalize([1.0, 0.0], ["a", "a"]) == [1.0, -1.0]  # mean 1/2, spread 1/2
    # The second rollout weighs 1/2: mean (1/2 + 1) / 2, mean of squares (1/2 + 1) / 2
    spread = (3 / 4 - (3 / 4) ** 2) ** 0.5
    assert normalizer.normalize([1.0, None], ["a", "a"]) == [pytest.approx(1 / 4 / spread), None]
    for _ in range(100):
        last = normalizer.normalize([5.0], ["a"])
    assert last == [pytest.approx(0, abs=1e-3)]  # what was before is forgotten
    assert normalizer.normalize([5.0], ["b"]) == [0.0]


@given(st.lists(st.lists(st.floats(-3, 3), min_size=2, max_size=2), min_size=1, max_size=6))
def test_without_decay_the_statistics_are_those_of_all_rollouts(rollouts):
    running = TaskStatistics(0.0, 0.0, 0)
    for rewards in rollouts:
        running = running.update(np.array(rewards), decay=1.0)
    flat = np.array(rollouts).ravel()
    assert running.rollouts == len(rollouts)
    assert running.mean == pytest.approx(flat.mean(), abs=1e-9)
    assert running.variance == pytest.approx(flat.var(), abs=1e-9)


@given(rewards_of_tasks, rewards_of_tasks)
def test_a_saved_state_goes_on_as_if_never_stopped(first, second):
    def go_on(normalizer, drawn):
        return normalizer.normalize([reward for _, reward in drawn], [task for task, _ in drawn])

    unbroken, resumed = RewardNormalizer("running"), RewardNormalizer("running")
    go_on(unbroken, first)
    resumed.load_state_dict(json.loads(json.dumps(unbroken.state_dict())))
    assert go_on(resumed, second) == go_on(unbroken, second)


def test_rounding_is_no_difference():
    assert RewardNormalizer("group").normalize([0.1, 0.1 + 1e-16, 0.1], ["a"] * 3) == [0.0] * 3


def test_off_changes_nothing():
    assert RewardNormalizer().normalize([1.0, None, 3.0], ["a"] * 3) == [1.0, None, 3.0]


@pytest.mark.parametrize("settings", [{"mode": "batch"}, {"decay": 1.1}, {"decay": -0.1}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match="use none, group or running"):
        RewardNormalizer(**settings)


@pytest.mark.parametrize("state", [{}, {"tasks": []}, {"tasks": {"a": [1.0, 2.0]}}, {"tasks": {"a": ["x", 1, 2]}}])
def test_a_foreign_state_is_refused(state):
    with pytest.raises(ValueError, match="not a state of a RewardNormalizer"):
        RewardNormalizer("running").load_state_dict(state)
