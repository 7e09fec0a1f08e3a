"""On the same tensors our maths gives what the PPOTrainer gave that TRL removed in 1.13.

The formulae of TRL 1.12 are written anew here as the reference, with their conventions: the score lies one position
after the last real token where there is room, the value mask is one position longer than the policy's, and whitening
uses the unbiased variance. arcgym puts the score on the last real token; given the longer mask, its functions have to
give the same numbers.
"""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from arcgym.training.advantages import estimate_kl, gae, masked_mean, masked_whiten, place_scores
from arcgym.training.losses import value_loss

INVALID_LOGPROB = 1.0


class Old(NamedTuple):
    advantages: Tensor
    returns: Tensor
    values: Tensor
    padding_mask: Tensor
    padding_mask_p1: Tensor


def old_masked_mean(values, mask):
    return (values * mask).sum() / mask.sum()


def old_masked_whiten(values, mask, shift_mean=True):
    mean = old_masked_mean(values, mask)
    var = old_masked_mean((values - mean) ** 2, mask) * mask.sum() / (mask.sum() - 1)
    whitened = (values - mean) * torch.rsqrt(var + 1e-8)
    return whitened if shift_mean else whitened + mean


def old_rollout(scores, logprobs, ref_logprobs, values, sequence_lengths, args):
    """From scores to advantages as in TRL 1.12; `sequence_lengths` are indices of last real tokens."""
    position = torch.arange(logprobs.shape[1]).repeat(logprobs.shape[0], 1)
    padding_mask = position > sequence_lengths.unsqueeze(1)
    logprobs = torch.masked_fill(logprobs, padding_mask, INVALID_LOGPROB)
    ref_logprobs = torch.masked_fill(ref_logprobs, padding_mask, INVALID_LOGPROB)
    sequence_lengths_p1 = sequence_lengths + 1
    padding_mask_p1 = position > sequence_lengths_p1.unsqueeze(1)
    values = torch.masked_fill(values, padding_mask_p1, 0)
    logr = ref_logprobs - logprobs
    kl = -logr if args["kl_estimator"] == "k1" else (logr.exp() - 1) - logr
    rewards = -args["kl_coef"] * kl
    end = torch.where(sequence_lengths_p1 < rewards.size(1), sequence_lengths_p1, sequence_lengths)
    rewards[torch.arange(rewards.size(0)), end] += scores
    if args["whiten_rewards"]:
        rewards = old_masked_whiten(rewards, ~padding_mask_p1, shift_mean=False)
        rewards = torch.masked_fill(rewards, padding_mask_p1, 0)
    lastgaelam, advantages_reversed = 0, []
    for t in reversed(range(logprobs.shape[1])):
        nextvalues = values[:, t + 1] if t < logprobs.shape[1] - 1 else 0.0
        delta = rewards[:, t] + args["gamma"] * nextvalues - values[:, t]
        lastgaelam = delta + args["gamma"] * args["lam"] * lastgaelam
        advantages_reversed.append(lastgaelam)
    advantages = torch.stack(advantages_reversed[::-1], dim=1)
    returns = advantages + values
    advantages = torch.masked_fill(old_masked_whiten(advantages, ~padding_mask), padding_mask, 0)
    return Old(advantages, returns, values, padding_mask, padding_mask_p1)


def old_losses(new_logprobs, logprobs, vpred, old, cliprange, cliprange_value):
    """Policy loss, its clip fraction, value loss, its clip fraction."""
    new_logprobs = torch.masked_fill(new_logprobs, old.padding_mask, INVALID_LOGPROB)
    logprobs = torch.masked_fill(logprobs, old.padding_mask, INVALID_LOGPROB)
    vpred = torch.masked_fill(vpred, old.padding_mask_p1, 0)
    vpredclipped = torch.clamp(vpred, old.values - cliprange_value, old.values + cliprange_value)
    vf_losses1 = torch.square(vpred - old.returns)
    vf_losses2 = torch.square(vpredclipped - old.returns)
    vf_loss = 0.5 * old_masked_mean(torch.max(vf_losses1, vf_losses2), ~old.padding_mask_p1)
    vf_clipfrac = old_masked_mean((vf_losses2 > vf_losses1).float(), ~old.padding_mask_p1)
    ratio = torch.exp(new_logprobs - logprobs)
    pg_losses = -old.advantages * ratio
    pg_losses2 = -old.advantages * torch.clamp(ratio, 1.0 - cliprange, 1.0 + cliprange)
    pg_loss = old_masked_mean(torch.max(pg_losses, pg_losses2), ~old.padding_mask)
    pg_clipfrac = old_masked_mean((pg_losses2 > pg_losses).float(), ~old.padding_mask)
    return pg_loss, pg_clipfrac, vf_loss, vf_clipfrac


@st.composite
def cases(draw):
    batch, time = draw(st.integers(1, 4)), draw(st.integers(2, 20))
    last = torch.tensor(draw(st.lists(st.integers(1, time - 1), min_size=batch, max_size=batch)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    noise = torch.randn(4, batch, time, generator=generator)
    logprobs = -noise[0].abs()
    tensors = {
        "scores": torch.randn(batch, generator=generator),
        "logprobs": logprobs,
        "ref_logprobs": logprobs + 0.3 * noise[1],
        "values": 0.5 * noise[2],
        "sequence_lengths": last,
    }
    new = {"new_logprobs": logprobs + 0.3 * noise[3], "vpred": 0.5 * noise[2] + 0.3 * noise[1]}
    args = {
        "kl_estimator": draw(st.sampled_from(["k1", "k3"])),
        "kl_coef": draw(st.floats(0, 0.5)),
        "whiten_rewards": draw(st.booleans()),
        "gamma": draw(st.floats(0.5, 1)),
        "lam": draw(st.floats(0, 1)),
    }
    return tensors, new, args


@settings(deadline=None, max_examples=60)
@given(cases())
def test_advantages_and_value_loss_equal_those_of_the_removed_trainer(case):
    tensors, new, args = case
    old = old_rollout(**tensors, args=args)
    mask, mask_p1 = ~old.padding_mask, ~old.padding_mask_p1
    kl = estimate_kl(tensors["logprobs"], tensors["ref_logprobs"], args["kl_estimator"]) * mask
    rewards = place_scores(tensors["scores"], mask_p1) - args["kl_coef"] * kl
    if args["whiten_rewards"]:
        rewards = masked_whiten(rewards, mask_p1, shift_mean=False)
    advantages, returns = gae(rewards, tensors["values"], mask_p1, args["gamma"], args["lam"])
    torch.testing.assert_close(returns, old.returns, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(masked_whiten(advantages, mask), old.advantages, rtol=1e-4, atol=1e-5)

    ours = value_loss(new["vpred"], tensors["values"], returns, mask_p1, 0.2)
    _, _, vf_loss, vf_clipfrac = old_losses(new["new_logprobs"], tensors["logprobs"], new["vpred"], old, 0.2, 0.2)
    torch.testing.assert_close(ours.loss, vf_loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(masked_mean(ours.is_clipped, mask_p1), vf_clipfrac)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_total_loss_of_the_trainer_equals_that_of_the_removed_one(make_trainer, monkeypatch, accumulation):
    trainer = make_trainer({"vf_coef": 0.3, "cliprange": 0.15, "cliprange_value": 0.25})
    trainer.model.train()
    monkeypatch.setattr(trainer, "current_gradient_accumulation_steps", accumulation, raising=False)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(6, 3, 7, generator=generator)
    logprobs = -noise[0].abs()
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    # The removed trainer's value mask is one longer; here both losses see the same mask, as arcgym has it
    old = Old(noise[1] * mask, noise[2] * mask, noise[3] * mask, mask == 0, mask == 0)
    new_logprobs = (logprobs + 0.3 * noise[4]).requires_grad_()
    vpred = (noise[3] + 0.3 * noise[5]).requires_grad_()

    def forward(*_args, **_kwargs):
        trainer._forward_values.append(vpred)
        return new_logprobs, torch.zeros_like(new_logprobs), None

    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", forward)
    inputs = {
        "prompt_ids": torch.ones(3, 2, dtype=torch.long),
        "prompt_mask": torch.ones(3, 2, dtype=torch.long),
        "completion_ids": torch.ones(3, 7, dtype=torch.long),
        "completion_mask": mask,
        "num_items_in_batch": mask.sum(),
        "advantages": old.advantages,
        "old_per_token_logps": logprobs,
        "old_values": old.values,
        "returns": old.returns,
        "value_mask": mask,
    }
    loss = trainer._compute_loss(trainer.model, inputs)
    pg_loss, pg_clipfrac, vf_loss, vf_clipfrac = old_losses(new_logprobs, logprobs, vpred, old, 0.15, 0.25)
    expected = (pg_loss + 0.3 * vf_loss) / accumulation
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    gradients = torch.autograd.grad(loss, (new_logprobs, vpred), retain_graph=True)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected, (new_logprobs, vpred)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    metrics = trainer._metrics["train"]
    assert metrics["clip_ratio/region_mean"] == [pytest.approx(pg_clipfrac.item())]
    assert metrics["ppo/value_clip_frac"] == [pytest.approx(vf_clipfrac.item())]
    assert metrics["ppo/value_loss"] == [pytest.approx(vf_loss.item())]
    assert 0 < pg_clipfrac < 1
    assert 0 < vf_clipfrac < 1
