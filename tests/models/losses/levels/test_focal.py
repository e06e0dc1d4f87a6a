"""Focal loss against its definition in numpy float64, and its limits."""

import numpy as np
import pytest
import scipy.special
import torch
from torch.nn import functional

from src.models.losses.levels.focal import FocalLoss, effective_number_weights

LOGITS = np.random.default_rng(0).normal(0, 2, (5, 4))
LEVELS = np.array([0, 3, 2, 2, 1])
ALPHA = [0.5, 1.0, 2.0, 0.25]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25, ALPHA])
def test_hard_targets_match_the_definition(gamma, alpha):
    p = scipy.special.softmax(LOGITS, axis=1)[np.arange(5), LEVELS]
    weight = {None: 1.0, 0.25: 0.25}.get(alpha) if not isinstance(alpha, list) else np.array(alpha)[LEVELS]
    values = FocalLoss(gamma, alpha, reduction="none")(torch.tensor(LOGITS), torch.tensor(LEVELS))
    np.testing.assert_allclose(values, -weight * (1 - p) ** gamma * np.log(p), rtol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("alpha", [None, ALPHA])
def test_gamma_zero_is_cross_entropy_exactly(smoothing, alpha):
    logits, levels = torch.tensor(LOGITS).float(), torch.tensor(LEVELS)
    weight = None if alpha is None else torch.tensor(alpha)
    expected = functional.cross_entropy(logits, levels, weight, reduction="none", label_smoothing=smoothing)
    values = FocalLoss(0.0, alpha, label_smoothing=smoothing, reduction="none")(logits, levels)
    torch.testing.assert_close(values, expected, rtol=1e-6 if smoothing else 0, atol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_soft_targets_match_the_definition(smoothing):
    q = np.random.default_rng(1).dirichlet(np.ones(4), 5)
    p = scipy.special.softmax(LOGITS, axis=1)
    smooth = (1 - smoothing) * q + smoothing / 4
    expected = -(smooth * ALPHA * (1 - p) ** 1.5 * np.log(p)).sum(axis=1)
    loss = FocalLoss(1.5, ALPHA, label_smoothing=smoothing, reduction="none")
    np.testing.assert_allclose(loss(torch.tensor(LOGITS), torch.tensor(q)), expected, rtol=1e-7)


def test_one_hot_soft_targets_equal_hard_ones():
    loss = FocalLoss(alpha=ALPHA, label_smoothing=0.1, reduction="none")
    logits, levels = torch.tensor(LOGITS), torch.tensor(LEVELS)
    torch.testing.assert_close(loss(logits, torch.eye(4)[levels]), loss(logits, levels))


def test_a_learnt_example_counts_as_the_paper_says():
    """Lin et al., section 3.2: with gamma 2, p = 0.9 costs 100 times less than cross entropy."""
    logits = torch.tensor([[0.9, 0.1]]).log()
    ratio = functional.cross_entropy(logits, torch.tensor([0])) / FocalLoss(2.0)(logits, torch.tensor([0]))
    assert ratio.item() == pytest.approx(100, rel=1e-4)


def test_effective_number_weights():
    """The effective number is the sum of beta^i over i < n, so 1 for one sample and n for beta to 1."""
    counts, beta = [1, 10, 500, 0], 0.99
    inverse = np.array([1 / sum(beta**i for i in range(max(n, 1))) for n in counts])
    weights = effective_number_weights(counts, beta)
    np.testing.assert_allclose(weights, 4 * inverse / inverse.sum(), rtol=1e-9)
    np.testing.assert_allclose(effective_number_weights([3, 70], 0.0), [1, 1])
    np.testing.assert_allclose(effective_number_weights([10, 30], 1 - 1e-9), [1.5, 0.5], rtol=1e-5)
    loss = FocalLoss(0.0, "effective_number", class_counts=counts, beta=beta, reduction="none")
    values = loss(torch.zeros(4, 4), torch.arange(4))
    np.testing.assert_allclose(values, np.log(4) * np.array(weights), rtol=1e-6)
