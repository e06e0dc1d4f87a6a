"""The area under the ROC curve of classes that occur."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAUROC


class PresentAUROC(MulticlassAUROC):
    """The mean of each class's area against the rest, over the classes that have samples, and others beside them.

    torchmetrics' mean has 0 for a class without samples. The result is NaN if only one class occurs.
    """

    counts: Tensor

    def __init__(self, num_classes: int, average: str = "macro", ignore_index: int | None = None, **arguments: Any):
        if average not in ("macro", "weighted"):
            raise ValueError(f"average: {average} given; give macro or weighted")
        super().__init__(num_classes, average=None, ignore_index=ignore_index, **arguments)
        self.is_weighted, self.ignored = average == "weighted", ignore_index
        self.add_state("counts", torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add probabilities (B, K, ...) and classes (B, ...) int64."""
        super().update(preds, target)
        counted = target if self.ignored is None else target[target != self.ignored]
        self.counts += torch.bincount(counted.flatten(), minlength=len(self.counts))

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics itself narrows it
        """Return the mean over all samples so far."""
        occurs = (self.counts > 0) & (self.counts < self.counts.sum())
        weights = self.counts if self.is_weighted else torch.ones_like(self.counts)
        return (super().compute()[occurs] * weights[occurs]).sum() / weights[occurs].sum()
