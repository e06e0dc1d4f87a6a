"""Divergence from a target that is spread over the neighbours of the true level."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from src.models.losses.base import Loss, Reduction, one_of, require, require_pairs

Mode = Literal["triangular", "log_triangular", "gaussian"]


class SoftTargetLoss(Loss, name="soft_target", takes=("levels",)):
    """KL(q_y || softmax(logits)) in nats, for logits (B, K) and levels y (B,) int64; its minimum is 0.

    The target q_y is proportional to a weight of level j at distance d = |j - y| and sums to 1, also
    at the ends of the range. `width` is the largest distance that still has weight:

    - triangular: 1 - d / (width + 1), where positive;
    - log_triangular: exp(-d) up to `width`, a triangle in the logarithm of the weight;
    - gaussian: exp(-(d / sigma)^2 / 2), on all levels; `width` is not used.

    Source: Diaz & Marathe, Soft Labels for Ordinal Regression, CVPR 2019.
    """

    table: Tensor  # the target distribution (K, K) of each level

    def __init__(
        self,
        num_classes: int,
        mode: Mode = "triangular",
        width: float = 1.0,
        sigma: float = 1.0,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        require_pairs(num_classes)
        self.num_classes = num_classes
        one_of("mode", mode, ("triangular", "log_triangular", "gaussian"))
        require(0 <= width < float("inf"), "width", width, "it must be at least 0 levels")
        require(0 < sigma < float("inf"), "sigma", sigma, "it must be above 0 levels")
        self.register_buffer("table", _soft_targets(num_classes, mode, width, sigma), persistent=False)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        soft = self.table.index_select(0, target)
        return functional.kl_div(prediction.log_softmax(dim=1), soft, reduction="none").sum(dim=1)


def _soft_targets(num_classes: int, mode: Mode, width: float, sigma: float) -> Tensor:
    """Return the targets (K, K) float32, one row per level."""
    levels = torch.arange(num_classes, dtype=torch.float32)
    distance = (levels - levels[:, None]).abs()
    if mode == "gaussian":
        weight = torch.exp(-0.5 * (distance / sigma) ** 2)
    elif mode == "log_triangular":
        weight = torch.exp(-distance) * (distance <= width)
    else:
        weight = (1.0 - distance / (width + 1.0)).clamp_min(0.0)
    return weight / weight.sum(dim=1, keepdim=True)
