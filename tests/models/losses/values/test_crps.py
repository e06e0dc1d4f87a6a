"""Ranked probability scores against scipy's energy distance and against integrals."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch

from src.models.losses.values.crps import CRPSLoss, GaussianCRPSLoss

LOGITS = np.random.default_rng(0).normal(0, 2, (5, 6))
LEVELS = np.array([0, 5, 2, 2, 4])


def test_crps_is_half_the_squared_energy_distance():
    p = scipy.special.softmax(LOGITS, axis=1)
    expected = [
        scipy.stats.energy_distance(np.arange(6), [y], u_weights=row) ** 2 / 2 for row, y in zip(p, LEVELS, strict=True)
    ]
    values = CRPSLoss("none")(torch.tensor(LOGITS), torch.tensor(LEVELS))
    np.testing.assert_allclose(values, expected, rtol=1e-9)


def test_crps_of_a_sure_level_is_its_distance():
    values = CRPSLoss("none")(1e4 * torch.eye(256), torch.full((256,), 100))
    np.testing.assert_allclose(values, abs(np.arange(256) - 100), atol=1e-5)


def test_crps_is_proper():
    """Its expectation under a law is least where the prediction is that law: the gradient is 0 there."""
    law = torch.tensor(scipy.special.softmax(LOGITS[0]))
    logits = law.log().expand(6, 6).clone().requires_grad_()
    (law @ CRPSLoss("none")(logits, torch.arange(6))).backward()
    np.testing.assert_allclose(logits.grad.sum(dim=0), 0, atol=1e-12)


@pytest.mark.parametrize(("mean", "log_variance", "target"), [(0.3, -2.0, 0.5), (1.0, 1.5, -2.0), (0.0, 0.0, 0.0)])
def test_gaussian_crps_matches_its_integral(mean, log_variance, target):
    law = scipy.stats.norm(mean, np.exp(log_variance / 2))
    below = scipy.integrate.quad(lambda x: law.cdf(x) ** 2, -40, target, epsabs=1e-12)[0]
    above = scipy.integrate.quad(lambda x: law.sf(x) ** 2, target, 40, epsabs=1e-12)[0]
    value = GaussianCRPSLoss()(torch.tensor([[mean, log_variance]]).double(), torch.tensor([target]).double())
    assert value.item() == pytest.approx(below + above, rel=1e-6)


def test_gaussian_crps_without_spread_is_absolute_error():
    prediction = torch.tensor([[0.25, -1e4], [3.0, -1e4]])
    values = GaussianCRPSLoss("none")(prediction, torch.tensor([0.5, -4.0]))
    np.testing.assert_allclose(values, [0.25, 7.0], atol=1e-4)
