"""Overlap losses: identities with total variation, and cumulative masks written out."""

import numpy as np
import pytest
import scipy.special
import torch

from src.models.losses.levels.overlap import DiceCrossEntropyLoss, DiceLoss, SoftIoULoss, TverskyLoss

LOGITS = np.random.default_rng(0).normal(0, 2, (5, 6))
P = scipy.special.softmax(LOGITS, axis=1)
LEVELS = np.array([0, 5, 2, 2, 4])
SOFT = np.random.default_rng(1).dirichlet(np.ones(6), 5)


def values(loss, target):
    loss.reduction = "none"
    return loss(torch.tensor(LOGITS), torch.tensor(target))


@pytest.mark.parametrize(("target", "q"), [(LEVELS, np.eye(6)[LEVELS]), (SOFT, SOFT)], ids=["hard", "soft"])
def test_dice_is_total_variation_and_iou_follows_from_it(target, q):
    both, either = np.minimum(P, q).sum(axis=1), np.maximum(P, q).sum(axis=1)
    np.testing.assert_allclose(values(DiceLoss(), target), 1 - 2 * both / (P + q).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(values(SoftIoULoss(), target), 1 - both / either, rtol=1e-9)
    variation = np.array([max((p - r)[p > r].sum(), 0) for p, r in zip(P, q, strict=True)])  # of the best event
    np.testing.assert_allclose(values(DiceLoss(), target), variation, rtol=1e-9)
    np.testing.assert_allclose(values(SoftIoULoss(), target), 1 - (1 - variation) / (1 + variation), rtol=1e-9)
    expected = 0.5 * variation - 2 * (q * np.log(P)).sum(axis=1)
    np.testing.assert_allclose(values(DiceCrossEntropyLoss(0.5, 2.0), target), expected, rtol=1e-9)


def masks():
    """Return the cumulative masks of prediction and target, (B, K): is the level above k, k = -1 .. K - 2?"""
    above = np.arange(6)[:, None] > np.arange(-1, 5)
    return P @ above, above[LEVELS].astype(float)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (1.0, 1.0), (0.0, 2.0)])
def test_tversky_matches_the_masks(alpha, beta):
    predicted, true = masks()
    common = np.minimum(predicted, true).sum(axis=1)
    over, under = np.maximum(predicted - true, 0).sum(axis=1), np.maximum(true - predicted, 0).sum(axis=1)
    expected = 1 - common / (common + alpha * over + beta * under)
    np.testing.assert_allclose(values(TverskyLoss(alpha, beta), LEVELS), expected, rtol=1e-9)


def test_tversky_with_equal_halves_is_dice_on_the_masks():
    predicted, true = masks()
    dice = 1 - 2 * np.minimum(predicted, true).sum(axis=1) / (predicted + true).sum(axis=1)
    np.testing.assert_allclose(values(TverskyLoss(), LEVELS), dice, rtol=1e-9)


def test_tversky_weighs_over_and_underestimates_apart():
    logits = 100.0 * torch.eye(6)[[4, 2]]  # one level above the target 3, one below
    over, under = TverskyLoss(alpha=0.2, beta=0.8, reduction="none")(logits, torch.tensor([3, 3]))
    assert over.item() == pytest.approx(0.2 / (4 + 0.2))
    assert under.item() == pytest.approx(0.8 / (3 + 0.8))
    assert TverskyLoss(alpha=0.0, beta=1.0)(logits[:1], torch.tensor([3])).item() == pytest.approx(0, abs=1e-6)
