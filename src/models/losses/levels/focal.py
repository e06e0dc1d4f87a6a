"""Cross entropy with lower weights for examples already learned and for frequent classes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from src.models.losses.base import Loss, Reduction, mean_of_pixels, require

_TINY = 1e-12  # of 1 - p: a power below 1 has an infinite slope at 0


class FocalLoss(Loss, name="focal", takes=("levels", "probabilities", "maps")):
    """sum over k of q_k alpha_k (1 - p_k)^gamma (-log p_k), in nats, for p = softmax(logits), logits (B, K).

    The target is levels (B,) int64, with q = 1 on the level, or q itself (B, K); in maps the loss is the mean over the
    pixels. Label smoothing s replaces q by (1 - s) q + s / K. With gamma = 0 this is cross entropy. `alpha` is one
    weight for all levels, one per level, or "effective_number": (1 - beta) / (1 - beta^n) for a level that occurs n
    times by `class_counts`, scaled to a mean of 1; a level that never occurs counts as once.

    Source: Lin et al., Focal Loss for Dense Object Detection, arXiv 1708.02002; Cui et al., arXiv 1901.05555.
    """

    alpha: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | str | None = None,
        class_counts: Sequence[int] | None = None,
        beta: float = 0.999,
        label_smoothing: float = 0.0,
        num_classes: int | None = None,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        require(0 <= gamma < math.inf, "gamma", gamma, "it must be at least 0")
        require(0 <= label_smoothing < 1, "label_smoothing", label_smoothing, "it must be at least 0 and below 1")
        self.gamma, self.label_smoothing = gamma, label_smoothing
        if isinstance(alpha, str):
            require(alpha == "effective_number", "alpha", alpha, "give a number, one per level, or effective_number")
            require(bool(class_counts), "class_counts", class_counts, "alpha: effective_number needs one per level")
            alpha = effective_number_weights(class_counts or (), beta)
        else:
            require(class_counts is None, "class_counts", class_counts, "only alpha: effective_number uses them")
        if isinstance(alpha, Sequence):
            require(num_classes in (None, len(alpha)), "num_classes", num_classes, f"alpha has {len(alpha)}")
            self.num_classes = len(alpha)
        weights = torch.tensor(1.0 if alpha is None else alpha, dtype=torch.float32)
        valid = bool(weights.isfinite().all() and (weights >= 0).all() and weights.any())
        require(valid, "alpha", alpha, "it must be finite, at least 0 and not all 0")
        self.register_buffer("alpha", None if alpha is None else weights, persistent=False)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        log_p = prediction.log_softmax(dim=1)
        alpha = self.alpha
        soft = target.is_floating_point()
        if self.label_smoothing:
            if not soft:
                target = torch.zeros_like(log_p).scatter_(1, target[:, None], 1.0)
            target = (1.0 - self.label_smoothing) * target + self.label_smoothing / log_p.shape[1]
        elif not soft:
            log_p = log_p.gather(1, target[:, None])
            alpha = alpha if alpha is None or alpha.ndim == 0 else alpha[target[:, None]]
        values = -log_p
        if self.gamma:
            values = values * (-torch.expm1(log_p)).clamp_min(_TINY) ** self.gamma
        if alpha is not None:
            per_level = alpha.ndim == 1 and prediction.ndim == 4
            values = values * (alpha[:, None, None] if per_level else alpha)
        values = (values * target).sum(dim=1) if soft or self.label_smoothing else values.squeeze(1)
        return mean_of_pixels(values)


def effective_number_weights(class_counts: Sequence[int], beta: float) -> list[float]:
    """Return a weight per class, with mean 1: the inverse effective number of samples, which falls with the count.

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, arXiv 1901.05555.
    """
    require(0 <= beta < 1, "beta", beta, "it must be at least 0 and below 1")
    require(min(class_counts) >= 0, "class_counts", class_counts, "it must be at least 0 each")
    weights = [1.0 / (1.0 - beta ** max(count, 1)) for count in class_counts]
    return [weight * len(weights) / sum(weights) for weight in weights]
