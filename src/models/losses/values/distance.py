"""Losses between numbers or between samples of waveforms: power of the difference, log-cosh, Huber."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from src.models.losses.base import Loss, Reduction, require


class DistanceLoss(Loss, name="distance", takes=("waveform", "value")):
    """Mean of |difference| to the power of p: p = 1 is the mean absolute error, p = 2 the mean square.

    Any equal shapes (B, ...), float32 or float64.

    Source: Bishop, Pattern Recognition and Machine Learning, Springer 2006, section 1.5.5.
    """

    def __init__(self, p: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require(1 <= p < math.inf, "p", p, "it must be at least 1, since the gradient would be infinite at a match")
        self.p = p

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the means (B,)."""
        error = (prediction - target).abs()
        return _mean(error if self.p == 1 else error.pow(self.p))


class LogCoshLoss(Loss, name="log_cosh", takes=("waveform", "value")):
    """Mean logarithm of the difference's hyperbolic cosine: about a square below 1 and an absolute value above.

    Any equal shapes (B, ...), float32 or float64; no difference overflows.

    Source: Chen, Chen, Xu, Log Hyperbolic Cosine Loss Improves Variational Auto-Encoder, OpenReview rkglvsC9Ym 2019.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the means (B,)."""
        error = (prediction - target).abs()
        small = torch.log1p(2.0 * torch.sinh(0.5 * error.clamp_max(1.0)).square())  # cosh a = 1 + 2 sinh^2(a / 2)
        large = error + torch.log1p(torch.expm1(-2.0 * error) / 2)  # cosh a = e^a (1 + e^-2a) / 2, without overflow
        return _mean(torch.where(error < 1.0, small, large))


class HuberLoss(Loss, name="huber", takes=("waveform", "value")):
    """Mean of half the square up to a difference of delta, and of delta (|difference| - delta / 2) above.

    Any equal shapes (B, ...), float32 or float64.

    Source: Huber, Robust Estimation of a Location Parameter, Annals of Mathematical Statistics 35(1), 1964.
    """

    def __init__(self, delta: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require(0 < delta < math.inf, "delta", delta, "it must be above 0")
        self.delta = delta

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the means (B,)."""
        return _mean(functional.huber_loss(prediction, target, reduction="none", delta=self.delta))


def _mean(values: Tensor) -> Tensor:
    return values if values.ndim == 1 else values.flatten(1).mean(dim=1)
