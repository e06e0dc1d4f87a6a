"""Regression on levels and shares: units, scaling and what happens outside the range."""

import numpy as np
import pytest
import scipy.special
import torch

from src.models.losses.levels.ordinal import (
    NormalizedRegressionLoss,
    OrdinalRegressionLoss,
    QuantizedRegressionLoss,
)

LOGITS = np.random.default_rng(0).normal(0, 2, (5, 6))
LEVELS = np.array([0, 5, 2, 2, 4])


def distance(kind, error, delta):
    """Return the distance of errors in the unit in which delta is given."""
    return {"l1": np.abs(error), "l2": error**2, "mse": error**2, "huber": scipy.special.huber(delta, error)}[kind]


@pytest.mark.parametrize("kind", ["l1", "l2", "mse", "huber"])
@pytest.mark.parametrize("given", [12.5, (-2.5, 10.0), [0, 12.5]])
def test_ordinal_regression_is_a_distance_in_the_parameters_unit(kind, given):
    """Errors in levels become errors in the unit first, delta with them: 2.5 units a level."""
    p = scipy.special.softmax(LOGITS, axis=1)
    error = 2.5 * (p @ np.arange(6) - LEVELS)
    expected = distance(kind, error, 0.7 * 2.5) - 0.3 * np.log(p[np.arange(5), LEVELS])
    loss = OrdinalRegressionLoss(6, given, kind, alpha=0.3, huber_delta=0.7, reduction="none")
    np.testing.assert_allclose(loss(torch.tensor(LOGITS), torch.tensor(LEVELS)), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["l1", "l2", "huber"])
def test_quantized_regression_is_a_distance_in_the_parameters_unit(kind):
    levels = np.array([0.0, 4.5, 2.0, 9.0, -3.0])
    expected = distance(kind, 2.5 * (levels - LEVELS), 0.7 * 2.5)
    loss = QuantizedRegressionLoss(6, 12.5, kind, huber_delta=0.7, reduction="none")
    np.testing.assert_allclose(loss(torch.tensor(levels), torch.tensor(LEVELS)), expected, rtol=1e-12)


def test_the_sum_of_probabilities_times_levels_meets_the_end_levels():
    loss = OrdinalRegressionLoss(6, 10.0, alpha=0.0, reduction="none")
    sure = 100.0 * torch.eye(6)
    torch.testing.assert_close(loss(sure, torch.zeros(6).long()), torch.arange(0.0, 11.0, 2.0))


@pytest.mark.parametrize("kind", ["l1", "l2", "huber"])
@pytest.mark.parametrize("in_units", [True, False])
def test_normalized_regression_in_units_and_in_shares(kind, in_units):
    shares, values = np.array([0.0, 1.0, 0.3, 1.2, -0.1]), np.array([20.0, 40.0, 60.0, 100.0, 30.0])
    unit = 80.0 if in_units else 1.0
    expected = distance(kind, unit * (shares - (values - 20) / 80), 0.1 * unit)
    loss = NormalizedRegressionLoss((20, 100), kind, return_perceptual_units=in_units, reduction="none")
    np.testing.assert_allclose(loss(torch.tensor(shares), torch.tensor(values)), expected, rtol=1e-12)


def test_defaults_of_the_distances():
    share, value = torch.tensor([0.5]), torch.tensor([20.0])
    assert NormalizedRegressionLoss((20, 100))(share, value).item() == pytest.approx(40.0**2)
    huber = NormalizedRegressionLoss((20, 100), "huber", return_perceptual_units=False)
    assert huber(share, value).item() == pytest.approx(0.1 * (0.5 - 0.05))
    assert QuantizedRegressionLoss(11, 5.0)(torch.tensor([3.0]), torch.tensor([1])).item() == pytest.approx(1.0)


@pytest.mark.parametrize("outside", [-7.0, 30.0])
def test_the_gradient_leads_back_from_outside_the_range(outside):
    for loss, target in (
        (QuantizedRegressionLoss(6, 12.5, "huber"), torch.tensor([2])),
        (NormalizedRegressionLoss((0, 1)), torch.tensor([0.5])),
    ):
        prediction = torch.tensor([outside], requires_grad=True)
        loss(prediction, target).backward()
        assert prediction.grad.item() * outside > 0


def test_shapes_that_would_broadcast_are_refused():
    loss = QuantizedRegressionLoss(6, 12.5)
    with pytest.raises(ValueError, match=r"prediction \(4, 1\) float32 and target \(4,\) int64 from 0 to 0 given"):
        loss(torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64))
