"""The critic's side of PPO: clipped value loss and explained variance. TRL computes the clipped policy loss.

Pure functions of `(batch, time)` tensors and a mask that is true at real tokens.
"""

from typing import NamedTuple

import torch

from arcgym.training.advantages import PerToken, Scalar, SumAcross, TokenMask, masked_mean, masked_var, one_process


class ValueLoss(NamedTuple):
    """Value loss, with gradient, and the per-token indicator of where the clipped branch was the larger one."""

    loss: Scalar
    is_clipped: PerToken


def value_loss(
    values: PerToken, old_values: PerToken, returns: PerToken, mask: TokenMask, cliprange_value: float
) -> ValueLoss:
    """Compute PPO's clipped value loss, the mean over real tokens.

    L = ½ · mean(max((V − R)², (clip(V, V_old − c, V_old + c) − R)²))

    Args:
        values: Values of the critic being trained, `(batch, time)`.
        old_values: Values at the time of the rollout, `(batch, time)`.
        returns: Targets, `(batch, time)`.
        mask: True at real tokens; elsewhere the other arguments are ignored.
        cliprange_value: How far from `old_values` a value may move before its gradient stops, above 0, in units of
            reward.

    Reference:
        Engstrom et al., "Implementation Matters in Deep RL", 2020, section 3, item 1.
    """
    clipped = torch.clamp(values, old_values - cliprange_value, old_values + cliprange_value)
    squared_error = (values - returns) ** 2
    clipped_squared_error = (clipped - returns) ** 2
    loss = 0.5 * masked_mean(torch.max(squared_error, clipped_squared_error), mask)
    return ValueLoss(loss, (clipped_squared_error > squared_error).to(values.dtype))


def explained_variance(
    values: PerToken, returns: PerToken, mask: TokenMask, sum_across: SumAcross = one_process
) -> Scalar:
    """Compute the share of the variance of the returns that the values explain: 1 − Var(R − V) / Var(R).

    1 is a perfect critic, 0 one no better than a constant, below 0 a harmful one. NaN when the returns are constant,
    because there is nothing to explain.
    """
    variance = masked_var(returns, mask, sum_across)
    unexplained = masked_var(returns - values, mask, sum_across)
    return torch.where(variance > 0, 1 - unexplained / variance.clamp(min=torch.finfo(variance.dtype).tiny), torch.nan)
