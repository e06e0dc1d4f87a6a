"""Losses on K - 1 thresholds of levels, with one logit for each question "is the level above k?"."""

import torch
from torch import Tensor
from torch.nn import functional

from src.models.losses.base import Loss


class CoralLoss(Loss, name="coral", takes=("thresholds",)):
    """Sum over k of the binary cross entropy of z_k against [y > k], in nats.

    Logits z (B, K - 1), levels y (B,) int64. The published model shares its weights between thresholds, so that z
    decreases with k; the loss itself does not require that.

    Source: Cao, Mirjalili & Raschka, Rank Consistent Ordinal Regression (CORAL), arXiv 1901.07884.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        above = (target[:, None] > _thresholds(prediction)).to(prediction.dtype)
        return functional.binary_cross_entropy_with_logits(prediction, above, reduction="none").sum(dim=1)


class CornLoss(Loss, name="corn", takes=("conditional_thresholds",)):
    """Sum over k <= y of the binary cross entropy of z_k against [y > k], in nats.

    Logits z (B, K - 1), of "above k, given above k - 1"; levels y (B,) int64. Only questions whose condition holds
    count, each with weight 1, independent of the rest of the batch, so the sum is -log p_y of `corn_distribution`.

    Source: Shi, Cao & Raschka, Deep Neural Networks for Rank-Consistent Ordinal Regression, arXiv 2111.08851.
    """

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        thresholds, level = _thresholds(prediction), target[:, None]
        above = (level > thresholds).to(prediction.dtype)
        reached = (level >= thresholds).to(prediction.dtype)
        values = functional.binary_cross_entropy_with_logits(prediction, above, weight=reached, reduction="none")
        return values.sum(dim=1)


def coral_distribution(logits: Tensor) -> Tensor:
    """Return the level probabilities (B, K) of CORAL logits (B, K - 1); they sum to 1.

    If P(above k) does not decrease with k it is sorted, which keeps the expected level and the number of thresholds
    exceeded (Chernozhukov, Fernandez-Val & Galichon, Econometrica 78(3), 2010).
    """
    above = logits.sigmoid().sort(dim=1, descending=True).values
    ends = above.new_ones(len(above), 1)
    return torch.cat([ends, above], dim=1) - torch.cat([above, ends - 1.0], dim=1)


def corn_distribution(logits: Tensor) -> Tensor:
    """Return the level probabilities (B, K) of CORN logits (B, K - 1), by the chain rule; they sum to 1."""
    log_above = functional.logsigmoid(logits).cumsum(dim=1)
    start = log_above.new_zeros(len(logits), 1)
    log_stop = torch.cat([functional.logsigmoid(-logits), start], dim=1)
    return (torch.cat([start, log_above], dim=1) + log_stop).softmax(dim=1)


def _thresholds(logits: Tensor) -> Tensor:
    return torch.arange(logits.shape[1], device=logits.device)
