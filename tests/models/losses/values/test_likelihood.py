"""Likelihoods against scipy's densities."""

import numpy as np
import pytest
import scipy.stats
import torch

from src.models.losses.values.likelihood import GaussianNLLLoss, MixtureNLLLoss, bounded_log_variance

RNG = np.random.default_rng(0)
RAW = np.column_stack([RNG.normal(size=6), RNG.uniform(-6, 6, 6)])
TARGET = RNG.normal(size=6)


def test_gaussian_nll_matches_scipy():
    expected = -scipy.stats.norm.logpdf(TARGET, RAW[:, 0], np.exp(RAW[:, 1] / 2))
    values = GaussianNLLLoss(reduction="none")(torch.tensor(RAW), torch.tensor(TARGET))
    np.testing.assert_allclose(values, expected, rtol=1e-4)  # the bound bends by exp(-14) here


def test_beta_weighs_each_value_by_its_variance_held_constant():
    """With beta 1 the gradient of the mean is that of half a squared error (Seitzer et al., section 4)."""
    prediction, target = torch.tensor(RAW).requires_grad_(), torch.tensor(TARGET)
    plain = GaussianNLLLoss(reduction="none")(prediction, target)
    half = GaussianNLLLoss(beta=0.5, reduction="none")(prediction, target)
    np.testing.assert_allclose((half / plain).detach(), np.exp(RAW[:, 1] / 2), rtol=1e-4)
    GaussianNLLLoss(beta=1.0, reduction="sum")(prediction, target).backward()
    np.testing.assert_allclose(prediction.grad[:, 0], RAW[:, 0] - TARGET, rtol=1e-9)
    variance = np.exp(RAW[:, 1])  # constant, so d/ds (s + e^2 exp(-s)) / 2 keeps its factor outside
    expected = 0.5 * variance * (1 - (RAW[:, 0] - TARGET) ** 2 / variance)
    np.testing.assert_allclose(prediction.grad[:, 1], expected, rtol=1e-4, atol=1e-4)


def test_log_variance_is_bounded_smoothly():
    raw = torch.tensor([-1e4, -20.0, -10.0, 0.0, 10.0, 20.0, 1e4], dtype=torch.float64)
    bent = bounded_log_variance(raw)
    np.testing.assert_allclose(bent[[0, 6]], [-20, 20], atol=1e-6)
    np.testing.assert_allclose(bent[2:5], raw[2:5], atol=1e-4)
    many = bounded_log_variance(torch.linspace(-30, 30, 1001, dtype=torch.float64))
    assert (many.diff() > 0).all()


@pytest.mark.parametrize("components", [1, 3])
def test_mixture_nll_matches_scipy(components):
    logits, means, log_variances = RNG.normal(size=(3, 6, components))
    weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    density = (weights * scipy.stats.norm.pdf(TARGET[:, None], means, np.exp(log_variances / 2))).sum(axis=1)
    prediction = torch.tensor(np.hstack([logits, means, log_variances]))
    values = MixtureNLLLoss("none")(prediction, torch.tensor(TARGET))
    np.testing.assert_allclose(values, -np.log(density), rtol=1e-6)


def test_mixture_of_one_is_the_gaussian():
    prediction = torch.tensor(np.column_stack([RNG.normal(size=6), RAW]))
    expected = GaussianNLLLoss()(torch.tensor(RAW), torch.tensor(TARGET))
    torch.testing.assert_close(MixtureNLLLoss()(prediction, torch.tensor(TARGET)), expected)


def test_mixture_needs_three_columns_a_component():
    with pytest.raises(ValueError, match=r"MixtureNLLLoss: prediction \(2, 4\) .* k components \(B, 3 k\)"):
        MixtureNLLLoss()(torch.zeros(2, 4), torch.zeros(2))
