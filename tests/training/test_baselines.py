"""Advantages without a critic: the formulae of GRPO, RLOO and REINFORCE, on numbers by hand and against TRL's."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.utils import nanstd

from arcgym.training.advantages import AdvantageEstimator, RunningBaseline, group_advantages, rloo_advantages

NAN = float("nan")
scores_of_groups = st.integers(2, 5).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.lists(
            st.lists(st.floats(-2, 2, width=32) | st.just(NAN), min_size=size, max_size=size), min_size=1, max_size=4
        ),
    )
)


def estimator(kind, **settings):
    defaults = {"gamma": 1.0, "lam": 1.0, "whiten_rewards": False, "whiten_advantages": False, "num_generations": 2}
    return AdvantageEstimator(kind=kind, **(defaults | settings))


def test_group_advantages_by_hand():
    scores = torch.tensor([1.0, 0.0, 1.0, 1.0])
    std = math.sqrt(0.5)  # of (1, 0), unbiased
    expected = torch.tensor([0.5, -0.5]) / (std + 1e-4)
    torch.testing.assert_close(group_advantages(scores, 2), torch.cat([expected, torch.zeros(2)]))
    torch.testing.assert_close(group_advantages(scores, 2, scale=False), torch.tensor([0.5, -0.5, 0.0, 0.0]))


@given(scores_of_groups, st.booleans())
def test_group_advantages_are_those_of_grpo(drawn, scale):
    size, groups = drawn
    scores = torch.tensor(groups).flatten()
    # As GRPOTrainer computes them from the rewards of all processes
    mean = torch.nanmean(scores.view(-1, size), dim=1).repeat_interleave(size)
    expected = scores - mean
    if scale:
        expected = expected / (nanstd(scores.view(-1, size), dim=1).repeat_interleave(size) + 1e-4)
    torch.testing.assert_close(group_advantages(scores, size, scale), expected.nan_to_num(0.0))


@given(scores_of_groups)
def test_rloo_advantages_leave_each_score_out_of_its_own_baseline(drawn):
    size, groups = drawn
    expected = []
    for group in groups:
        for i, score in enumerate(group):
            others = [other for j, other in enumerate(group) if j != i and not math.isnan(other)]
            expected.append(0.0 if math.isnan(score) or not others else score - sum(others) / len(others))
    actual = rloo_advantages(torch.tensor(groups).flatten(), size)
    torch.testing.assert_close(actual, torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_running_baseline_is_a_mean_of_the_past():
    baseline = RunningBaseline(decay=0.5)
    # The first rollout is compared with itself
    torch.testing.assert_close(baseline.advantages(torch.tensor([1.0, 0.0])), torch.tensor([0.5, -0.5]))
    assert baseline.value == 0.5
    torch.testing.assert_close(baseline.advantages(torch.tensor([1.0, NAN])), torch.tensor([0.5, 0.0]))
    assert baseline.value == 0.75
    assert baseline.advantages(torch.tensor([NAN])).tolist() == [0.0] and baseline.value == 0.75


@pytest.mark.parametrize("kind", ["group", "rloo", "reinforce"])
def test_every_token_gets_the_advantage_of_its_completion(kind):
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    chosen = estimator(kind)
    per_completion = chosen.compare(torch.tensor([1.0, 0.0]))
    assert per_completion[0] > 0 > per_completion[1]
    spread = chosen.spread(per_completion, mask)
    torch.testing.assert_close(spread, per_completion.unsqueeze(1) * mask)
    whitened = estimator(kind, whiten_advantages=True).spread(per_completion, mask)[mask.bool()]
    torch.testing.assert_close(whitened.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(whitened.var(), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_gae_cannot_do_without_a_critic():
    with pytest.raises(ValueError, match="critic"):
        estimator("gae").compare(torch.tensor([1.0, 0.0]))
