"""Overlap losses: identities with total variation, cumulative masks and areas of maps written out."""

import numpy as np
import pytest
import scipy.special
import torch
from torchmetrics.segmentation import DiceScore, MeanIoU

from src.models.losses.levels.cross_entropy import CrossEntropyLoss
from src.models.losses.levels.focal import FocalLoss
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


MAP_LOGITS = np.random.default_rng(2).normal(0, 2, (3, 4, 5, 7))
MAP = np.random.default_rng(3).integers(0, 3, (3, 5, 7))  # the last of four levels does not occur
MAP_P = scipy.special.softmax(MAP_LOGITS, axis=1)


def map_values(loss):
    loss.reduction = "none"
    return loss(torch.tensor(MAP_LOGITS), torch.tensor(MAP)).numpy()


def areas():
    """Return true positives, false positives and false negatives of each level in each image, loops written out."""
    found = np.zeros((3, 3, 4))
    for image in range(3):
        for level in range(4):
            for p, y in zip(MAP_P[image, level].ravel(), MAP[image].ravel(), strict=True):
                found[0, image, level] += p * (y == level)
                found[1, image, level] += p * (y != level)
                found[2, image, level] += (1 - p) * (y == level)
    return found


def test_losses_of_maps_are_ratios_of_areas_of_an_image_and_means_over_levels():
    hit, over, under = areas()
    dice = 1 - (2 * hit + 1.5) / (2 * hit + over + under + 1.5)
    np.testing.assert_allclose(map_values(DiceLoss(smooth=1.5)), dice.mean(axis=1), rtol=1e-9)
    iou = 1 - (hit + 1.0) / (hit + over + under + 1.0)
    np.testing.assert_allclose(map_values(SoftIoULoss()), iou.mean(axis=1), rtol=1e-9)
    tversky = 1 - (hit + 1.0) / (hit + 0.3 * over + 0.7 * under + 1.0)
    np.testing.assert_allclose(map_values(TverskyLoss(0.3, 0.7)), tversky.mean(axis=1), rtol=1e-9)
    both = 0.5 * map_values(DiceLoss()) + 2.0 * map_values(CrossEntropyLoss())
    np.testing.assert_allclose(map_values(DiceCrossEntropyLoss(0.5, 2.0)), both, rtol=1e-9)


def test_cross_entropy_and_focal_loss_of_maps_are_means_over_pixels():
    true = np.take_along_axis(MAP_P, MAP[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(map_values(CrossEntropyLoss()), -np.log(true).mean(axis=(1, 2)), rtol=1e-9)
    focal = (1 - true) ** 1.5 * -np.log(true)
    np.testing.assert_allclose(map_values(FocalLoss(1.5)), focal.mean(axis=(1, 2)), rtol=1e-9)
    alpha = np.array([1.0, 2.0, 0.5, 3.0])
    weighted = FocalLoss(1.5, alpha=alpha.tolist())
    np.testing.assert_allclose(map_values(weighted), (alpha[MAP] * focal).mean(axis=(1, 2)), rtol=1e-6)
    q = 0.9 * np.eye(4)[MAP].transpose(0, 3, 1, 2) + 0.1 / 4
    smooth = (q * alpha[:, None, None] * (1 - MAP_P) ** 1.5 * -np.log(MAP_P)).sum(axis=1).mean(axis=(1, 2))
    found = map_values(FocalLoss(1.5, alpha=alpha.tolist(), label_smoothing=0.1))
    np.testing.assert_allclose(found, smooth, rtol=1e-6)


def test_losses_of_certain_maps_are_those_of_torchmetrics():
    """Every level occurs, in the truth and in the prediction."""
    true, predicted = torch.randint(3, (2, 2, 16, 16), generator=torch.Generator().manual_seed(0))
    logits = 1e3 * torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).float()
    dice = DiceScore(3, input_format="index")(predicted, true)
    iou = MeanIoU(3, input_format="index")(predicted, true)
    assert DiceLoss(smooth=1e-9)(logits, true).item() == pytest.approx(1 - dice.item(), abs=1e-5)
    assert SoftIoULoss(smooth=1e-9)(logits, true).item() == pytest.approx(1 - iou.item(), abs=1e-5)


def test_a_level_that_is_neither_true_nor_predicted_has_no_loss():
    logits = torch.full((1, 3, 4, 4), -1e3)
    logits[:, 1] = 1e3
    for loss in (DiceLoss(), SoftIoULoss(), TverskyLoss()):
        assert loss(logits, torch.ones(1, 4, 4, dtype=torch.int64)).item() == pytest.approx(0.0, abs=1e-6)


def test_a_map_without_smoothing_is_refused():
    for loss in (DiceLoss, SoftIoULoss, TverskyLoss, DiceCrossEntropyLoss):
        with pytest.raises(ValueError, match=r"^smooth: 0 given; it must be above 0 pixels"):
            loss(smooth=0)
