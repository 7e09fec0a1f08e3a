import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arcgym.training.advantages import (
    AdvantageEstimator,
    estimate_kl,
    gae,
    masked_mean,
    masked_var,
    masked_whiten,
    place_scores,
)


@st.composite
def rollouts(draw):
    """Rewards and values of a few completions of different lengths, right-padded, with noise in the padding."""
    lengths = draw(st.lists(st.integers(0, 33), min_size=1, max_size=4))
    time = max(1, *lengths) + draw(st.integers(0, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shape = (len(lengths), time)
    rewards = torch.randn(shape, generator=generator, dtype=torch.float64)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    mask = torch.arange(time) < torch.tensor(lengths).unsqueeze(1)
    return rewards, values, mask


def textbook_advantages(rewards, values, gamma, lam):
    """The recursion of Schulman et al. 2016 for one completion, from its last token to its first."""
    advantages, advantage = [], 0.0
    for t in reversed(range(len(rewards))):
        next_value = values[t + 1] if t + 1 < len(values) else 0.0
        advantage = rewards[t] + gamma * next_value - values[t] + gamma * lam * advantage
        advantages.append(advantage)
    return advantages[::-1]


@pytest.mark.property(13)
@settings(deadline=None)
@given(rollouts(), st.floats(0, 1), st.floats(0, 1), st.integers(0, 5), st.integers(0, 5))
def test_gae_is_the_textbook_recursion_between_td_error_and_monte_carlo_and_ignores_padding(
    rollout, gamma, lam, left, right
):
    rewards, values, mask = rollout
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    td_errors = gae(rewards, values, mask, gamma, 0.0).advantages
    monte_carlo = gae(rewards, values, mask, gamma, 1.0).advantages
    for i, length in enumerate(mask.sum(dim=1).tolist()):
        r, v = rewards[i, :length].tolist(), values[i, :length].tolist()
        expected = torch.tensor(textbook_advantages(r, v, gamma, lam), dtype=torch.float64)
        torch.testing.assert_close(advantages[i, :length], expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(returns[i, :length], expected + values[i, :length], rtol=1e-9, atol=1e-9)
        for t in range(length):
            next_value = v[t + 1] if t + 1 < length else 0.0
            assert math.isclose(td_errors[i, t], r[t] + gamma * next_value - v[t], abs_tol=1e-9)
            discounted = sum(gamma**k * reward for k, reward in enumerate(r[t:]))
            assert math.isclose(monte_carlo[i, t], discounted - v[t], abs_tol=1e-9)
    assert not advantages[~mask].any()
    assert not returns[~mask].any()

    def padded(x, value):
        return torch.nn.functional.pad(x, (left, right), value=value)

    wider = gae(padded(rewards, math.nan), padded(values, math.inf), padded(mask, False), gamma, lam)
    torch.testing.assert_close(wider.advantages, padded(advantages, 0.0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(wider.returns, padded(returns, 0.0), rtol=1e-9, atol=1e-9)


def test_gae_by_hand():
    # δ = (0 + .5·.4 − .2, 1 − .4) = (0, .6);  A = (0 + .5·.5·.6, .6)
    advantages, returns = gae(
        torch.tensor([[0.0, 1.0, 9.0]]), torch.tensor([[0.2, 0.4, 9.0]]), torch.tensor([[1, 1, 0]]), 0.5, 0.5
    )
    torch.testing.assert_close(advantages, torch.tensor([[0.15, 0.6, 0.0]]))
    torch.testing.assert_close(returns, torch.tensor([[0.35, 1.0, 0.0]]))


@given(rollouts(), st.integers(0, 2**31))
@settings(deadline=None, max_examples=50)
def test_tokens_that_a_tool_wrote_are_skipped(rollout, seed):
    rewards, values, mask = rollout
    mask = mask & (torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.6)
    advantages = gae(rewards, values, mask, 0.9, 0.8).advantages
    for i in range(len(mask)):
        own = mask[i]
        expected = textbook_advantages(rewards[i, own].tolist(), values[i, own].tolist(), 0.9, 0.8)
        torch.testing.assert_close(advantages[i, own], torch.tensor(expected, dtype=torch.float64))


def test_gae_keeps_dtype_and_takes_integer_masks():
    rewards, values = torch.rand(2, 5), torch.rand(2, 5)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    result = gae(rewards, values, mask, 1.0, 0.95)
    assert result.advantages.dtype == result.returns.dtype == torch.float32
    assert torch.equal(result.advantages, gae(rewards, values, mask.bool(), 1.0, 0.95).advantages)


def test_score_is_placed_on_the_last_real_token():
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    expected = torch.tensor([[0.0, 0, 0, 1], [0, 2, 0, 0], [0, 3, 0, 0], [0, 0, 0, 0]])
    assert torch.equal(place_scores(torch.tensor([1.0, 2.0, 3.0, 4.0]), mask), expected)


def test_kl_estimators_by_hand():
    logps, ref_logps = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-2.0, -1.0]])
    torch.testing.assert_close(estimate_kl(logps, ref_logps, "k1"), torch.tensor([[1.0, -1.0]]))
    expected = torch.tensor([[math.exp(-1) - 1 + 1, math.exp(1) - 1 - 1]])
    torch.testing.assert_close(estimate_kl(logps, ref_logps, "k3"), expected)


def test_whitening_gives_real_tokens_mean_0_and_unit_variance():
    x = torch.tensor([[1.0, 2.0, 99.0], [3.0, 6.0, 99.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 0]])
    whitened = masked_whiten(x, mask)
    assert not whitened[:, 2].any()
    torch.testing.assert_close(whitened[:, :2].mean(), torch.tensor(0.0))
    torch.testing.assert_close(whitened[:, :2].var(), torch.tensor(1.0))
    kept = masked_whiten(x, mask, shift_mean=False)
    torch.testing.assert_close(kept[:, :2].mean(), torch.tensor(3.0))


def test_whitening_of_constant_or_absent_tokens_gives_zeros():
    assert not masked_whiten(torch.full((2, 3), 5.0), torch.ones(2, 3)).any()
    assert not masked_whiten(torch.rand(2, 3), torch.zeros(2, 3)).any()
    assert not masked_whiten(torch.rand(1, 3), torch.tensor([[1, 0, 0]])).any()


def test_statistics_of_two_processes_are_those_of_one():
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(5) < torch.tensor([5, 1, 3, 2, 4, 5]).unsqueeze(1)
    first, second = slice(0, 2), slice(2, 6)
    mean, var = masked_mean(x, mask), masked_var(x, mask)

    def plus_second(statistics):
        """What the first process gets from a sum over both, in the order in which `masked_var` asks."""
        other_mask = mask[second]
        if calls == 0:
            other = x[second][other_mask].sum()
        else:
            other = ((x[second] - mean)[other_mask] ** 2).sum()
        return statistics + torch.stack([other, other_mask.sum().float()])

    calls = 0

    def sum_across(statistics):
        nonlocal calls
        result = plus_second(statistics)
        calls += 1
        return result

    torch.testing.assert_close(masked_var(x[first], mask[first], sum_across), var)
    assert calls == 2


def test_estimator_whitens_advantages_but_not_returns():
    scores, values = torch.tensor([1.0, 0.0]), torch.tensor([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    plain = AdvantageEstimator(gamma=1.0, lam=0.95, whiten_rewards=False, whiten_advantages=False)
    white = AdvantageEstimator(gamma=1.0, lam=0.95, whiten_rewards=False, whiten_advantages=True)
    expected = gae(torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]), values, mask, 1.0, 0.95)
    assert torch.equal(plain.estimate(scores, values, mask).advantages, expected.advantages)
    assert torch.equal(white.estimate(scores, values, mask).returns, expected.returns)
    assert torch.equal(white.estimate(scores, values, mask).advantages, masked_whiten(expected.advantages, mask))


def test_estimator_subtracts_the_penalty_and_whitens_rewards():
    scores, values = torch.tensor([1.0, 0.0]), torch.zeros(2, 3)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    penalty = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 9.0]])
    rewards = torch.tensor([[-0.1, -0.2, 0.7], [-0.4, -0.5, 0.0]])
    estimator = AdvantageEstimator(gamma=1.0, lam=1.0, whiten_rewards=False, whiten_advantages=False)
    expected = gae(rewards, values, mask, 1.0, 1.0).returns
    torch.testing.assert_close(estimator.estimate(scores, values, mask, penalty).returns, expected)
    estimator = AdvantageEstimator(gamma=1.0, lam=1.0, whiten_rewards=True, whiten_advantages=False)
    expected = gae(masked_whiten(rewards, mask, shift_mean=False), values, mask, 1.0, 1.0).returns
    torch.testing.assert_close(estimator.estimate(scores, values, mask, penalty).returns, expected)
