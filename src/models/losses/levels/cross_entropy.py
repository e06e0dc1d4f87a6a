"""Cross entropy of levels, plain and with a penalty on distance."""

import torch
from torch import Tensor
from torch.nn import functional

from src.models.losses.base import Loss, Reduction, mean_of_pixels, require, require_pairs


class CrossEntropyLoss(Loss, name="cross_entropy", takes=("levels", "probabilities", "maps")):
    """-log p_y in nats, for logits (B, K) and levels y (B,) int64; of maps, the mean over the pixels.

    With label smoothing s the target is 1 - s + s / K on level y and s / K on the others.

    Source: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, arXiv 1512.00567.
    """

    def __init__(self, label_smoothing: float = 0.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require(0 <= label_smoothing < 1, "label_smoothing", label_smoothing, "it must be at least 0 and below 1")
        self.label_smoothing = label_smoothing

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        values = functional.cross_entropy(prediction, target, reduction="none", label_smoothing=self.label_smoothing)
        return mean_of_pixels(values)


class WeightedCrossEntropyLoss(Loss, name="weighted_cross_entropy", takes=("levels",)):
    """-log p_y + sum over j != y of (base_weight + |j - y|^distance_power) p_j.

    Logits (B, K), levels y (B,) int64; distances are in levels. The sum is the expected penalty of the
    wrong levels: probability far from y costs more than probability near y.

    Source: the definition.
    """

    price: Tensor  # of each level (K, K) where another is true

    def __init__(
        self,
        num_classes: int,
        distance_power: float = 2.0,
        base_weight: float = 1.0,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        require_pairs(num_classes)
        self.num_classes = num_classes
        require(0 <= distance_power <= 8, "distance_power", distance_power, "it must be from 0 to 8")
        require(0 <= base_weight <= 1e6, "base_weight", base_weight, "it must be from 0 to 1e6")
        levels = torch.arange(num_classes, dtype=torch.float32)
        price = base_weight + (levels[:, None] - levels).abs() ** distance_power
        self.register_buffer("price", price.fill_diagonal_(0.0), persistent=False)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        log_p = prediction.log_softmax(dim=1)
        price = self.price.index_select(0, target)
        return functional.nll_loss(log_p, target, reduction="none") + (price * log_p.exp()).sum(dim=1)
