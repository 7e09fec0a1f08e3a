"""From scores to advantages: generalised advantage estimation with a critic, or baselines without one; whitening.

With a critic everything is `(batch, time)`, with one column per completion token and a mask that is true where the
policy chose the token. Masked columns (padding on either side, or tokens that a tool wrote) are transparent: they
neither receive nor decay credit, and the value that follows a token is that of the next real one.

Without a critic each completion has one advantage, its score less a baseline: the mean of its group (GRPO), of the
others of its group (RLOO), or a running mean (REINFORCE). A score of NaN means that a completion could not be scored:
it takes no part in any baseline, and its advantage is 0.

Statistics that have to agree on every process take `sum_across`, which adds a tensor over the processes; by default
there is one process.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PerToken = Float[Tensor, "batch time"]
PerCompletion = Float[Tensor, "batch"]
PerMember = Float[Tensor, "group member"]
PerGroup = Float[Tensor, "group 1"]
TokenMask = Bool[Tensor, "batch time"] | Int[Tensor, "batch time"] | Float[Tensor, "batch time"]
Scalar = Float[Tensor, ""]
SumAcross = Callable[[Tensor], Tensor]
KLEstimator = Literal["k1", "k3"]
AdvantageKind = Literal["gae", "group", "rloo", "reinforce"]


class Advantages(NamedTuple):
    """Advantages, and the returns that the critic is fitted to; 0 wherever the mask is false."""

    advantages: PerToken
    returns: PerToken


def one_process(statistics: Tensor) -> Tensor:
    """Sum over processes when there is only one: the identity."""
    return statistics


def masked_mean(x: PerToken, mask: TokenMask, sum_across: SumAcross = one_process) -> Scalar:
    """Compute the mean of `x` over the real tokens; 0 when there are none."""
    is_real = mask.bool()
    total = torch.where(is_real, x, 0.0).sum()
    total, count = sum_across(torch.stack([total, is_real.sum().to(total.dtype)]))
    return total / count.clamp(min=1.0)


def masked_var(x: PerToken, mask: TokenMask, sum_across: SumAcross = one_process) -> Scalar:
    """Compute the unbiased variance of `x` over the real tokens; 0 when there are fewer than two."""
    is_real = mask.bool()
    mean = masked_mean(x, mask, sum_across)
    squares = torch.where(is_real, (x - mean) ** 2, 0.0).sum()
    squares, count = sum_across(torch.stack([squares, is_real.sum().to(squares.dtype)]))
    return squares / (count - 1).clamp(min=1.0)


def masked_whiten(
    x: PerToken, mask: TokenMask, shift_mean: bool = True, sum_across: SumAcross = one_process
) -> PerToken:
    """Scale the real tokens of `x` to unit variance: (x − mean) / sqrt(var + 1e-8), with the unbiased variance.

    Args:
        x: Per-token quantity, `(batch, time)`.
        mask: True at real tokens.
        shift_mean: Whether the mean becomes 0; otherwise it keeps its place, as rewards need.
        sum_across: Adds a tensor over all processes.

    Returns:
        Whitened `x`, 0 where the mask is false.
    """
    mean = masked_mean(x, mask, sum_across)
    whitened = (x - mean) * torch.rsqrt(masked_var(x, mask, sum_across) + 1e-8)
    if not shift_mean:
        whitened = whitened + mean
    return torch.where(mask.bool(), whitened, 0.0)


def estimate_kl(logps: PerToken, ref_logps: PerToken, estimator: KLEstimator = "k1") -> PerToken:
    """Estimate KL(π ‖ π_ref) at each sampled token.

    With r = log π_ref − log π: k1 is −r (unbiased, of either sign), k3 is exp(r) − 1 − r (unbiased, never negative,
    less spread).

    Reference:
        J. Schulman, "Approximating KL divergence", 2020, http://joschu.net/blog/kl-approx.html
    """
    log_ratio = ref_logps - logps
    return -log_ratio if estimator == "k1" else torch.expm1(log_ratio) - log_ratio


def adapt_kl_coef(kl_coef: float, kl: float, target: float, completions: int, horizon: int) -> float:
    """Move the weight of the KL such that the KL comes nearer to its target.

    c ← c · (1 + clip(KL / target − 1, −0.2, 0.2) · completions / horizon)

    Args:
        kl_coef: Present weight, above 0.
        kl: Mean KL per completion of a rollout.
        target: What it is to be, above 0.
        completions: Completions of the rollout.
        horizon: Completions over which the weight can change by a fifth.

    Reference:
        Ziegler et al., "Fine-Tuning Language Models from Human Preferences", 2019, section 2.2.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * completions / horizon)


def place_scores(scores: PerCompletion, mask: TokenMask) -> PerToken:
    """Put each completion's score on its last real token: its EOS, or the token at which it was cut off.

    A completion without any real token has nowhere to put a score and gets zeros.
    """
    is_real = mask.bool()
    is_last = is_real & (is_real.long().flip(1).cumsum(1).flip(1) == 1)
    return torch.where(is_last, scores.unsqueeze(1), 0.0)


def gae(rewards: PerToken, values: PerToken, mask: TokenMask, gamma: float, lam: float) -> Advantages:
    """Compute generalised advantage estimates over each completion's real tokens.

    δ_t = r_t + γ·V_{t+1} − V_t,  A_t = δ_t + γλ·A_{t+1},  R_t = A_t + V_t, where t+1 is the next real token and
    V and A are 0 after the last one. The recursion is solved in ⌈log2 time⌉ vectorised steps.

    Args:
        rewards: Reward received for each token, `(batch, time)`; ignored where the mask is false.
        values: Value of the state in which each token was chosen, `(batch, time)`; ignored where the mask is false.
        mask: True (or 1) at real tokens. Usually right-padded, but any pattern is right.
        gamma: Discount γ, in [0, 1].
        lam: Trade-off λ between bias (0: the TD error) and variance (1: the Monte-Carlo advantage), in [0, 1].

    Returns:
        Advantages and returns, both `(batch, time)` and 0 where the mask is false.

    Reference:
        Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation", 2016, eq. 16.
    """
    is_real = mask.bool()
    time = values.size(1)
    values = torch.where(is_real, values, 0.0)
    # Index of the next real token, or `time`, which points at an appended 0
    position = torch.where(is_real, torch.arange(time, device=values.device), time)
    position = torch.nn.functional.pad(position, (0, 1), value=time)
    following = position.flip(1).cummin(1).values.flip(1)[:, 1:]
    next_values = torch.nn.functional.pad(values, (0, 1)).gather(1, following)

    advantages = torch.where(is_real, rewards + gamma * next_values - values, 0.0)
    decay = torch.where(is_real, torch.full_like(values, gamma * lam), 1.0)
    span = 1
    # Before each pass, advantages[t] holds the terms t … t+span−1 and decay[t] the product of their factors
    while span < time:
        advantages = advantages + decay * torch.nn.functional.pad(advantages[:, span:], (0, span))
        decay = decay * torch.nn.functional.pad(decay[:, span:], (0, span))
        span *= 2
    advantages = torch.where(is_real, advantages, 0.0)
    return Advantages(advantages, advantages + values)


def group_advantages(scores: PerCompletion, num_generations: int, scale: bool = True) -> PerCompletion:
    """Compute GRPO's advantages: (s − mean of the group) / (standard deviation of the group + 1e-4).

    Args:
        scores: Scores of whole groups, group after group, `(batch,)`; NaN where there is none.
        num_generations: Size of a group, at least 2.
        scale: Whether to divide by the (unbiased) standard deviation.

    Reference:
        Shao et al., "DeepSeekMath", 2024, section 4.1.2; Liu et al., "Understanding R1-Zero-Like Training", 2025, for
        leaving out the division.
    """
    groups = _Groups.of(scores, num_generations)
    mean = groups.total / groups.count
    centred = groups.scores - mean
    if scale:
        squares = torch.where(groups.is_scored, centred**2, 0.0).sum(dim=1, keepdim=True)
        centred = centred / ((squares / (groups.count - 1)).sqrt() + 1e-4)
    return groups.flatten(centred, at_least=2 if scale else 1)


def rloo_advantages(scores: PerCompletion, num_generations: int) -> PerCompletion:
    """Compute the advantages of REINFORCE leave-one-out: each score less the mean of the others of its group.

    Args:
        scores: Scores of whole groups, group after group, `(batch,)`; NaN where there is none.
        num_generations: Size of a group, at least 2.

    Reference:
        Ahmadian et al., "Back to Basics: Revisiting REINFORCE-Style Optimization", 2024, eq. 8.
    """
    groups = _Groups.of(scores, num_generations)
    others = (groups.total - groups.scores) / (groups.count - 1)
    return groups.flatten(groups.scores - others, at_least=2)


@dataclass(frozen=True)
class _Groups:
    scores: PerMember
    is_scored: Tensor
    total: PerGroup
    count: PerGroup

    @classmethod
    def of(cls, scores: PerCompletion, num_generations: int) -> "_Groups":
        groups = scores.view(-1, num_generations)
        is_scored = ~groups.isnan()
        count = is_scored.sum(dim=1, keepdim=True).to(scores.dtype)
        return cls(groups, is_scored, groups.nansum(dim=1, keepdim=True), count)

    def flatten(self, advantages: PerMember, at_least: int) -> PerCompletion:
        """Put the groups one after the other, with 0 where there is no score or too few in the group."""
        return torch.where(self.is_scored & (self.count >= at_least), advantages, 0.0).flatten()


@dataclass
class RunningBaseline:
    """Exponential moving mean of the scores of all rollouts so far: REINFORCE's baseline.

    Attributes:
        decay: Weight of the past at each rollout, in [0, 1).
        value: The mean, None before the first rollout.

    Reference:
        Williams, "Simple Statistical Gradient-Following Algorithms", 1992, section 4 (reinforcement comparison).
    """

    decay: float
    value: float | None = None

    def advantages(self, scores: PerCompletion) -> PerCompletion:
        """Subtract the mean as it was before these scores, of the first rollout their own; then take them in.

        Args:
            scores: Scores of a whole rollout, `(batch,)`; NaN where there is none.
        """
        is_scored = ~scores.isnan()
        if not is_scored.any():
            return torch.zeros_like(scores)
        mean = scores.nanmean().item()
        baseline = mean if self.value is None else self.value
        self.value = self.decay * baseline + (1 - self.decay) * mean
        return torch.where(is_scored, scores - baseline, 0.0)


@dataclass(frozen=True)
class AdvantageEstimator:
    """Turns the scores of a rollout into advantages and returns, with the settings of one run.

    Attributes:
        gamma: Discount, in [0, 1].
        lam: Bias–variance trade-off of GAE, in [0, 1].
        whiten_rewards: Whether token rewards are scaled to unit variance first, the mean kept.
        whiten_advantages: Whether advantages are scaled to mean 0 and unit variance; returns are not touched.
        kind: `gae` uses a critic and `estimate`, the others a baseline and `compare`.
        num_generations: Size of a group, for `group` and `rloo` at least 2.
        scale_groups: Whether `group` divides by the standard deviation of the group.
        baseline: The running mean of `reinforce`.
    """

    gamma: float
    lam: float
    whiten_rewards: bool
    whiten_advantages: bool
    kind: AdvantageKind = "gae"
    num_generations: int = 1
    scale_groups: bool = True
    baseline: RunningBaseline = field(default_factory=lambda: RunningBaseline(decay=0.9))

    def compare(self, scores: PerCompletion) -> PerCompletion:
        """Compare scores with a baseline that needs no critic.

        Args:
            scores: Scores of the whole rollout on all processes, group after group, `(batch,)`; NaN where none.

        Returns:
            One advantage per completion, not whitened; 0 where there is no score.

        Raises:
            ValueError: The kind is `gae`, which needs a critic.
        """
        match self.kind:
            case "group":
                return group_advantages(scores, self.num_generations, self.scale_groups)
            case "rloo":
                return rloo_advantages(scores, self.num_generations)
            case "reinforce":
                return self.baseline.advantages(scores)
        raise ValueError("advantages of kind `gae` need a critic; call `estimate`")

    def spread(self, advantages: PerCompletion, mask: TokenMask, sum_across: SumAcross = one_process) -> PerToken:
        """Give every token of a completion its completion's advantage, whitened over the rollout if that is set."""
        per_token = torch.where(mask.bool(), advantages.unsqueeze(1), 0.0)
        return masked_whiten(per_token, mask, sum_across=sum_across) if self.whiten_advantages else per_token

    def estimate(
        self,
        scores: PerCompletion,
        values: PerToken,
        mask: TokenMask,
        penalty: PerToken | None = None,
        sum_across: SumAcross = one_process,
    ) -> Advantages:
        """Estimate advantages and returns.

        Args:
            scores: Score of each completion, `(batch,)`.
            values: Value of the state in which each token was chosen, `(batch, time)`.
            mask: True at real tokens, `(batch, time)`.
            penalty: Subtracted from the reward of each token, `(batch, time)`; the KL to the reference, if any.
            sum_across: Adds a tensor over all processes, so that whitening uses the whole rollout.
        """
        rewards = place_scores(scores, mask)
        if penalty is not None:
            rewards = rewards - torch.where(mask.bool(), penalty, 0.0)
        if self.whiten_rewards:
            rewards = masked_whiten(rewards, mask, shift_mean=False, sum_across=sum_across)
        advantages, returns = gae(rewards, values, mask, self.gamma, self.lam)
        if self.whiten_advantages:
            advantages = masked_whiten(advantages, mask, sum_across=sum_across)
        return Advantages(advantages, returns)
