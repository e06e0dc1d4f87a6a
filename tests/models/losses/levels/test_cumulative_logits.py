"""CORAL and CORN: sums of binary cross entropies, and the level distributions behind them."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from src.models.losses.levels.cumulative_logits import CoralLoss, CornLoss, coral_distribution, corn_distribution

LOGITS = np.random.default_rng(0).normal(0, 2, (6, 5))
LEVELS = np.array([0, 5, 2, 2, 4, 1])


def test_coral_matches_the_definition():
    p = expit(LOGITS)
    expected = [-sum(np.log(p[b, k]) if y > k else np.log(1 - p[b, k]) for k in range(5)) for b, y in enumerate(LEVELS)]
    values = CoralLoss("none")(torch.tensor(LOGITS), torch.tensor(LEVELS))
    np.testing.assert_allclose(values, expected, rtol=1e-9)


def test_corn_is_the_log_likelihood_of_the_chain_rule():
    """P(level) = product of passing each threshold below it, times not passing its own."""
    p = expit(LOGITS)
    likelihood = [np.prod(p[b, :y]) * (1 - p[b, y] if y < 5 else 1) for b, y in enumerate(LEVELS)]
    logits, levels = torch.tensor(LOGITS), torch.tensor(LEVELS)
    values = CornLoss("none")(logits, levels)
    np.testing.assert_allclose(values, -np.log(likelihood), rtol=1e-9)
    np.testing.assert_allclose(corn_distribution(logits)[range(6), LEVELS], likelihood, rtol=1e-9)


def test_corn_ignores_questions_whose_condition_fails():
    logits = torch.tensor(LOGITS).requires_grad_()
    CornLoss()(logits, torch.tensor(LEVELS)).backward()
    asked = LEVELS[:, None] >= np.arange(5)
    assert np.array_equal(logits.grad.numpy() != 0, asked)


def test_coral_distribution_is_the_difference_of_falling_probabilities():
    logits = -np.sort(-LOGITS, axis=1)
    above = np.hstack([np.ones((6, 1)), expit(logits), np.zeros((6, 1))])
    np.testing.assert_allclose(coral_distribution(torch.tensor(logits)), -np.diff(above, axis=1), atol=1e-12)


def test_coral_distribution_keeps_the_expected_level_of_unordered_logits():
    p = coral_distribution(torch.tensor(LOGITS)).numpy()
    assert (p >= 0).all()
    np.testing.assert_allclose(p @ np.arange(6), expit(LOGITS).sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("distribution", [coral_distribution, corn_distribution])
@pytest.mark.parametrize("num_classes", [2, 256])
@pytest.mark.parametrize("size", [0.0, 3.0, 1e4])
def test_distributions_are_distributions(distribution, num_classes, size):
    logits = (size * torch.randn(50, num_classes - 1, generator=torch.Generator().manual_seed(0))).requires_grad_()
    p = distribution(logits)
    assert p.shape == (50, num_classes) and (p >= 0).all()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(50))
    p.square().sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("distribution", [coral_distribution, corn_distribution])
def test_sure_logits_give_their_level(distribution):
    logits = torch.where(torch.arange(6)[:, None] > torch.arange(5), 50.0, -50.0)
    torch.testing.assert_close(distribution(logits), torch.eye(6))
