"""Balances: weights as given, shares of the gradient by the published rule, and weights that are learned."""

import math

import numpy as np
import pytest
import torch

from src.models.losses.combine.balance import FixedWeights, GradientShares, LearnedWeights, make_balance
from src.models.losses.values.distance import DistanceLoss
from src.models.losses.values.likelihood import GaussianNLLLoss


def predictions(steps, *shape):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((steps, *shape))).float()


def losses_of(x):
    """Return two losses (2,) of x (B, ...): a thousand times half the square, and the plain sum, both batch means."""
    flat = x.reshape(len(x), -1)
    return torch.stack([500.0 * flat.square().sum(dim=1).mean(), flat.sum(dim=1).mean()])


def norms_of(x):
    """Return the two losses' gradient norms at x, a mean over the batch, by their derivatives."""
    flat = x.double().numpy().reshape(len(x), -1)
    return np.array([1000 * np.linalg.norm(flat, axis=1).mean(), math.sqrt(flat.shape[1])]) / len(flat)


def pulls(balance, x, weights):
    """Return the mean gradient norm of each weighted loss at x, by autograd."""
    x = x.clone().requires_grad_()
    raw = losses_of(x)
    factors, _ = balance(raw, torch.tensor(weights), x)
    return [
        torch.autograd.grad(factor * one, x, retain_graph=True)[0].reshape(len(x), -1).norm(dim=1).mean().item()
        for factor, one in zip(factors, raw, strict=True)
    ]


def test_fixed_weights_are_the_weights():
    raw, weights = torch.tensor([3.0, 5.0]), torch.tensor([0.5, 2.0])
    factors, offsets = FixedWeights()(raw, weights, raw)
    assert torch.equal(factors, weights) and offsets.tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(6,), (6, 4), (6, 2, 3, 5)], ids=str)
@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, 3.0], [0.0, 2.0]])
def test_shares_of_the_gradient_are_the_weights_and_their_sum_is_one(weights, shape):
    """The raw gradients are hundreds to one."""
    (x,) = predictions(1, *shape)
    norms = norms_of(x)
    assert norms[0] > 100 * norms[1]
    assert pulls(GradientShares(2).train(), x, weights) == pytest.approx(np.array(weights) / sum(weights), rel=1e-5)


def test_norms_are_averaged_as_published():
    """Audiocraft's moving average: totals and counts both decay by 0.999, and their quotient is used."""
    balance, weights = GradientShares(2).train(), np.array([1.0, 3.0])
    total, count = np.zeros(2), 0.0
    for step, x in enumerate(predictions(20, 6, 4) * torch.linspace(0.1, 3, 20)[:, None, None]):
        norms = norms_of(x)
        total, count = 0.999 * total + norms, 0.999 * count + 1
        expected = weights / weights.sum() / (total / count)
        x = x.requires_grad_()
        factors, offsets = balance(losses_of(x), torch.tensor(weights).float(), x)
        np.testing.assert_allclose(factors, expected, rtol=1e-4, err_msg=str(step))
        assert not offsets.any() and not factors.requires_grad


def test_averages_survive_a_checkpoint():
    first, x = GradientShares(2).train(), predictions(6, 5, 3)
    for one in x[:5]:
        pulls(first, one, [1.0, 1.0])
    second = GradientShares(2).train()
    second.load_state_dict(first.state_dict())
    assert pulls(first, x[5], [1.0, 1.0]) == pulls(second, x[5], [1.0, 1.0])
    assert set(first.state_dict()) == {"norms", "weight_of_norms"}


def test_where_nothing_is_trained_the_weights_are_as_given_and_nothing_is_counted():
    (x,) = predictions(1, 6, 4)
    weights = torch.tensor([1.0, 3.0])
    for balance, given in ((GradientShares(2).eval(), x.clone().requires_grad_()), (GradientShares(2).train(), x)):
        factors, _ = balance(losses_of(given), weights, given)
        assert torch.equal(factors, weights) and not balance.norms.any() and not balance.weight_of_norms
    with torch.no_grad():
        given = x.clone().requires_grad_()
        assert torch.equal(GradientShares(2).train()(losses_of(given), weights, given)[0], weights)


def test_a_loss_without_any_gradient_is_given_no_weight():
    x = predictions(1, 6, 4)[0].requires_grad_()
    other = torch.ones(3, requires_grad=True)
    for dead in (other.sum(), (0.0 * x).sum()):
        raw = torch.stack([x.square().mean(), dead])
        factors, _ = GradientShares(2).train()(raw, torch.tensor([1.0, 1.0]), x)
        assert torch.isfinite(factors).all() and factors[0] > 0 and factors[1] == 0


def test_weights_that_are_all_zero_leave_nothing():
    """As schedules that start at 0 are at their first step."""
    x = predictions(1, 6, 4)[0].requires_grad_()
    factors, _ = GradientShares(2).train()(losses_of(x), torch.zeros(2), x)
    assert factors.tolist() == [0, 0]


def test_gradients_can_be_taken_again_after_balancing():
    x = predictions(1, 6, 4)[0].requires_grad_()
    raw = losses_of(x)
    factors, _ = GradientShares(2).train()(raw, torch.tensor([1.0, 1.0]), x)
    (factors * raw).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.any()


def test_learned_weights_match_the_closed_form_and_its_gradient():
    """w / 2 (exp(-s) L + s), whose slope in s is w / 2 (1 - exp(-s) L)."""
    balance = LearnedWeights(3)
    s, loss, weights = np.array([-1.0, 0.0, 2.0]), np.array([0.3, 4.0, 1.5]), np.array([1.0, 2.0, 0.0])
    with torch.no_grad():
        balance.log_variances.copy_(torch.from_numpy(s))
    raw = torch.from_numpy(loss).float()
    factors, offsets = balance(raw, torch.from_numpy(weights).float(), raw)
    np.testing.assert_allclose(factors.detach(), weights / 2 * np.exp(-s), rtol=1e-6)
    np.testing.assert_allclose(offsets.detach(), weights / 2 * s, rtol=1e-6)
    (factors * raw + offsets).sum().backward()
    np.testing.assert_allclose(balance.log_variances.grad, weights / 2 * (1 - np.exp(-s) * loss), rtol=1e-5)


def test_learned_weights_settle_at_the_log_of_the_losses():
    balance, raw = LearnedWeights(2), torch.tensor([1e-3, 20.0])
    for _ in range(300):
        factors, offsets = balance(raw, torch.tensor([1.0, 3.0]), raw)
        (slope,) = torch.autograd.grad((factors * raw + offsets).sum(), balance.log_variances)
        with torch.no_grad():
            balance.log_variances -= 0.2 * slope
    np.testing.assert_allclose(balance.log_variances.detach(), np.log([1e-3, 20.0]), atol=0.01)


def test_learned_weights_start_at_half_the_weights():
    raw = torch.tensor([1.0, 2.0])
    factors, offsets = LearnedWeights(2)(raw, torch.tensor([1.0, 3.0]), raw)
    assert factors.tolist() == [0.5, 1.5] and offsets.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("kind", "made"), [("weights", FixedWeights), ("gradient", GradientShares), ("uncertainty", LearnedWeights)]
)
def test_a_balance_is_made_by_its_name(kind, made):
    assert type(make_balance(kind, [DistanceLoss()] * 3)) is made


def test_an_unknown_balance_is_refused():
    with pytest.raises(ValueError, match=r"^balance: 'gradnorm' given; give one of weights, gradient, uncertainty$"):
        make_balance("gradnorm", [DistanceLoss()] * 2)


def test_learned_weights_refuse_a_loss_that_may_be_negative():
    with pytest.raises(ValueError, match="uncertainty needs losses above 0, but GaussianNLLLoss may be negative"):
        make_balance("uncertainty", [DistanceLoss(), GaussianNLLLoss()])
    assert type(make_balance("gradient", [DistanceLoss(), GaussianNLLLoss()])) is GradientShares


def test_a_gradient_that_is_not_finite_leaves_the_average_as_it_was():
    balance, weights = GradientShares(2), torch.ones(2)
    x = torch.ones(3, 1, requires_grad=True)
    balance(torch.stack([x.sum(), 2 * x.sum()]), weights, x)
    before = balance.norms / balance.weight_of_norms
    balance(torch.stack([x.sum() * torch.inf, 2 * x.sum()]), weights, x)
    torch.testing.assert_close(balance.norms / balance.weight_of_norms, before)
