"""Overlap of the predicted level distribution with the target, as for two areas.

In maps, with logits (B, K, H, W) and levels (B, H, W), the areas are those of each level in an image: sums over its
pixels. The loss of an image is the mean over the levels. `smooth` is added to the numerator and the denominator of
their ratios, in pixels, so that a level that is neither true nor predicted has no loss.

Their gradient vanishes if a prediction is confident and wrong, so use them together with cross entropy
(`DiceCrossEntropyLoss`) or after it.
"""

import torch
from torch import Tensor
from torch.nn import functional

from src.models.losses.base import Loss, Reduction, mean_of_pixels, require

_SMOOTH = 1.0  # pixel: little beside areas of hundreds, and enough where a level is missing


class DiceLoss(Loss, name="dice", takes=("levels", "probabilities", "maps")):
    """1 - 2 |p and q| / (|p| + |q|) = TV(p, q), for p = softmax(logits), logits (B, K).

    The target is levels (B,) int64, with q = 1 on the level, or q itself (B, K). Since both sum to 1, with the minimum
    as intersection, this is the total variation distance, in [0, 1].

    Source: after Milletari, Navab & Ahmadi, V-Net, arXiv 1606.04797.
    """

    def __init__(self, smooth: float = _SMOOTH, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.smooth = _checked_smooth(smooth)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        if prediction.ndim == 4:
            return _tversky_of_maps(prediction.softmax(dim=1), target, 0.5, 0.5, self.smooth / 2.0)
        return _total_variation(prediction.log_softmax(dim=1), target)


class SoftIoULoss(Loss, name="soft_iou", takes=("levels", "probabilities", "maps")):
    """1 - |p and q| / |p or q| = 1 - (1 - TV) / (1 + TV) = 2 TV / (1 + TV), with p and q of `DiceLoss`.

    Source: after Rahman & Wang, Optimizing Intersection-over-Union in Deep Neural Networks, ISVC 2016.
    """

    def __init__(self, smooth: float = _SMOOTH, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.smooth = _checked_smooth(smooth)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        if prediction.ndim == 4:
            return _tversky_of_maps(prediction.softmax(dim=1), target, 1.0, 1.0, self.smooth)
        distance = _total_variation(prediction.log_softmax(dim=1), target)
        return 2.0 * distance / (1.0 + distance)


class DiceCrossEntropyLoss(Loss, name="dice_cross_entropy", takes=("levels", "probabilities", "maps")):
    """dice_weight * Dice loss + cross_entropy_weight * cross entropy, with the targets of `DiceLoss`.

    In maps the cross entropy is the mean over the pixels.

    Source: Taghanaki et al., Combo Loss, arXiv 1805.02798.
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        smooth: float = _SMOOTH,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        self.smooth = _checked_smooth(smooth)
        require(0 <= dice_weight < float("inf"), "dice_weight", dice_weight, "it must be at least 0")
        require(
            0 <= cross_entropy_weight < float("inf"),
            "cross_entropy_weight",
            cross_entropy_weight,
            "it must be at least 0",
        )
        both = (dice_weight, cross_entropy_weight)
        require(any(both), "dice_weight and cross_entropy_weight", both, "one must be above 0")
        self.dice_weight, self.cross_entropy_weight = dice_weight, cross_entropy_weight

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        log_p = prediction.log_softmax(dim=1)
        if target.is_floating_point():
            cross_entropy = -(target * log_p).sum(dim=1)
        else:
            cross_entropy = mean_of_pixels(functional.nll_loss(log_p, target, reduction="none"))
        if prediction.ndim == 4:
            dice = _tversky_of_maps(log_p.exp(), target, 0.5, 0.5, self.smooth / 2.0)
        else:
            dice = _total_variation(log_p, target)
        return self.dice_weight * dice + self.cross_entropy_weight * cross_entropy


class TverskyLoss(Loss, name="tversky", takes=("levels", "maps")):
    """1 - TP / (TP + alpha FP + beta FN) of cumulative masks, for logits (B, K) and levels y (B,) int64.

    A level's mask is filled from below: entry k = -1 .. K - 2 is [y > k] for the target, P(L > k) for
    the prediction L ~ softmax(logits). So FP = E[max(L - y, 0)] is the expected overestimate in levels,
    FN = E[max(y - L, 0)] the underestimate, and TP = 1 + y - FN >= 1 their common part. alpha = beta = 1/2
    is Dice, 1 is IoU. An error counts relative to the level, since the loss is a ratio of areas.

    In maps the levels have no order: for each, TP = sum p q, FP = sum p (1 - q), FN = sum (1 - p) q over the pixels.

    Source: Salehi, Erdogmus & Gholipour, Tversky Loss Function for Image Segmentation, arXiv 1706.05721.
    """

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, smooth: float = _SMOOTH, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.smooth = _checked_smooth(smooth)
        require(0 <= alpha < float("inf"), "alpha", alpha, "it must be at least 0")
        require(0 <= beta < float("inf"), "beta", beta, "it must be at least 0")
        require(alpha + beta > 0, "alpha and beta", (alpha, beta), "one must be above 0")
        self.alpha, self.beta = alpha, beta

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        p = prediction.softmax(dim=1)
        if prediction.ndim == 4:
            return _tversky_of_maps(p, target, self.alpha, self.beta, self.smooth)
        levels = torch.arange(p.shape[1], device=p.device)
        error = (levels - target[:, None]).to(p.dtype)
        over = (p * error.clamp_min(0.0)).sum(dim=1)
        under = (p * error.clamp_max(0.0)).sum(dim=1).neg()
        wrong = self.alpha * over + self.beta * under
        return wrong / (1.0 + target - under + wrong)


def _total_variation(log_p: Tensor, target: Tensor) -> Tensor:
    """Return sum |p - q| / 2, (B,), which is 1 - p_y for a level y."""
    if target.is_floating_point():
        return 0.5 * (log_p.exp() - target).abs().sum(dim=1)
    return -torch.expm1(log_p.gather(1, target[:, None]).squeeze(1))


def _tversky_of_maps(p: Tensor, target: Tensor, alpha: float, beta: float, smooth: float) -> Tensor:
    """Return 1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth), the mean over levels, (B,).

    `p` are probabilities (B, K, H, W), `target` levels (B, H, W).
    """
    q = torch.zeros_like(p).scatter_(1, target[:, None], 1.0)
    common, predicted, true = (values.sum(dim=(2, 3)) for values in (p * q, p, q))
    wrong = alpha * (predicted - common) + beta * (true - common)
    return (wrong / (common + wrong + smooth)).mean(dim=1)


def _checked_smooth(smooth: float) -> float:
    require(0 < smooth < float("inf"), "smooth", smooth, "it must be above 0 pixels")
    return smooth
