import torch

from arcgym.training.losses import explained_variance, value_loss


def test_value_loss_by_hand():
    # Token 1: error 1 → 1, clipped to 0.2 → 0.04: the larger is 1. Token 2: error .1 → .01, clipped to .2 → .64, wins.
    values = torch.tensor([[1.0, 0.9, 7.0]])
    old_values = torch.zeros(1, 3)
    returns = torch.tensor([[0.0, 1.0, 0.0]])
    result = value_loss(values, old_values, returns, torch.tensor([[1, 1, 0]]), cliprange_value=0.2)
    torch.testing.assert_close(result.loss, torch.tensor(0.5 * (1.0 + 0.64) / 2))
    assert result.is_clipped[0, :2].tolist() == [0.0, 1.0]


def test_value_that_left_the_clip_range_towards_its_return_gets_no_gradient():
    values = torch.tensor([[0.5, 0.1, -0.5]], requires_grad=True)
    result = value_loss(values, torch.zeros(1, 3), torch.ones(1, 3), torch.ones(1, 3), cliprange_value=0.2)
    result.loss.backward()
    # Beyond the range on the way to the return; inside the range; beyond it on the wrong side
    assert values.grad[0, 0] == 0
    assert values.grad[0, 1] < 0
    assert values.grad[0, 2] < 0


def test_padding_changes_no_value_loss():
    values, old_values, returns = torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    loss = value_loss(values, old_values, returns, mask, 0.2).loss
    noise = torch.where(mask.bool(), 0.0, 100.0)
    torch.testing.assert_close(value_loss(values + noise, old_values - noise, returns, mask, 0.2).loss, loss)


def test_explained_variance_is_1_for_a_perfect_critic_and_0_for_a_constant_one():
    returns = torch.tensor([[1.0, 2.0, 5.0], [3.0, 0.0, 5.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 0]])
    torch.testing.assert_close(explained_variance(returns, returns, mask), torch.tensor(1.0))
    torch.testing.assert_close(explained_variance(torch.full((2, 3), 0.7), returns, mask), torch.tensor(0.0))
    assert explained_variance(-returns, returns, mask) < 0


def test_explained_variance_of_constant_returns_is_undefined():
    assert explained_variance(torch.rand(2, 3), torch.ones(2, 3), torch.ones(2, 3)).isnan()
