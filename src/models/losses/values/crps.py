"""Continuous ranked probability scores: absolute errors of a predicted distribution."""

import math

import torch
from torch import Tensor

from src.models.losses.base import Loss
from src.models.losses.values.likelihood import bounded_log_variance


class CRPSLoss(Loss, name="crps", takes=("levels",)):
    """sum over k of (F_k - [k >= y])^2 in levels, F being the distribution function of softmax(logits).

    Logits (B, K), levels y (B,) int64. It equals E|L - y| - E|L - L'| / 2 for levels L, L' drawn from the prediction:
    for a prediction of a single level, the distance from y.

    Source: Epstein, A Scoring System for Probability Forecasts of Ranked Categories, J. Appl. Meteorol. 8, 1969.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        reached = prediction.softmax(dim=1).cumsum(dim=1)[:, :-1]  # the last is 1 for both
        levels = torch.arange(reached.shape[1], device=reached.device)
        return (reached - (levels >= target[:, None]).to(reached.dtype)).square().sum(dim=1)


class GaussianCRPSLoss(Loss, name="gaussian_crps", takes=("gaussian",)):
    """sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (y - mean) / sigma, in the target's unit.

    Mean and log variance (B, 2), bounded by `bounded_log_variance`; target y (B,).

    Source: Gneiting & Raftery, Strictly Proper Scoring Rules, doi:10.1198/016214506000001437.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        mean, raw = prediction.unbind(dim=1)
        sigma = torch.exp(0.5 * bounded_log_variance(raw))
        error = target - mean
        z = error / sigma
        density = torch.exp(-0.5 * z.square()) / math.sqrt(2.0 * math.pi)
        return error * torch.erf(z / math.sqrt(2.0)) + sigma * (2.0 * density - 1.0 / math.sqrt(math.pi))
