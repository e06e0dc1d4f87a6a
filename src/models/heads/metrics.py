"""Metrics of all heads as vectors, accumulated on the device and computed once per epoch."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from src.parameters.codec import to_class, to_physical
from src.parameters.space import ParameterSpace


class HeadMetrics(Metric):
    """Loss, MAE and RMSE in each parameter's unit, accuracy and +-1-step accuracy, per head.

    It keeps sums and counts, so results do not depend on the batching or the number of processes. `nmae` leaves out
    heads whose weight is 0, since they are not trained. Categories have no distance from each other: their heads have
    no MAE, RMSE or +-1-step accuracy, and `nmae` uses their fraction of wrong predictions.
    """

    full_state_update = False
    loss: Tensor
    absolute: Tensor
    squared: Tensor
    hits: Tensor
    near: Tensor
    count: Tensor
    trained: Tensor
    categorical: Tensor
    ranges: Tensor

    def __init__(self, space: ParameterSpace, weights: Tensor):
        super().__init__()
        self.space = space
        size = len(space)
        for name in ("loss", "absolute", "squared", "hits", "near", "count"):
            self.add_state(name, torch.zeros(1 if name == "count" else size), dist_reduce_fx="sum")
        self.register_buffer("trained", weights > 0, persistent=False)
        categorical = torch.tensor([spec.kind == "categorical" for spec in space])
        self.register_buffer("categorical", categorical, persistent=False)
        self.register_buffer("ranges", torch.tensor(space.max - space.min, dtype=torch.float32), persistent=False)

    @property
    def names(self) -> list[str]:
        """The keys of the results of `compute`."""
        found = ["nmae"]
        for spec in self.space:
            kinds = ("acc", "loss") if spec.kind == "categorical" else ("mae", "rmse", "acc", "acc1", "loss")
            found += [f"{spec.name}_{kind}" for kind in kinds]
        return found

    def update(self, values: Tensor, levels: Tensor, target: Tensor, losses: Tensor) -> None:
        """Add a batch: values (B, P) physical, levels (B, P) int64, target (B, P) in [0, 1], losses (P,)."""
        truth = torch.stack([to_physical(spec, target[:, at]) for at, spec in enumerate(self.space)], dim=1)
        classes = torch.stack([to_class(spec, truth[:, at]) for at, spec in enumerate(self.space)], dim=1)
        distance = (levels - classes).abs()
        self.loss += losses.detach() * len(target)
        error = (values - truth).abs()
        self.absolute += error.sum(dim=0)
        self.squared += error.square().sum(dim=0)
        self.hits += (distance == 0).sum(dim=0)
        self.near += (distance <= 1).sum(dim=0)
        self.count += len(target)

    def compute(self) -> dict[str, Tensor]:
        """Return {head}_{mae,rmse,acc,acc1,loss} of each head, and nmae, the mean over trained heads of MAE / range."""
        mae, accuracy = self.absolute / self.count, self.hits / self.count
        by_kind = {"mae": mae, "rmse": (self.squared / self.count).sqrt(), "acc": accuracy}
        by_kind |= {"acc1": self.near / self.count, "loss": self.loss / self.count}
        relative = torch.where(self.categorical, 1.0 - accuracy, mae / self.ranges)
        results = {"nmae": relative[self.trained].mean()}
        for at, name in enumerate(self.space.names):
            results |= {f"{name}_{kind}": values[at] for kind, values in by_kind.items()}
        return {name: results[name] for name in self.names}


class TermMeans(Metric):
    """Means over an epoch of named losses, which are passed as one vector."""

    full_state_update = False
    sums: Tensor
    count: Tensor

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.names = list(names)
        self.add_state("sums", torch.zeros(len(self.names)), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, terms: Tensor, count: int) -> None:
        """Add a batch of `count` examples with means (N,)."""
        self.sums += terms * count
        self.count += count

    def compute(self) -> dict[str, Tensor]:
        """Return the mean of each loss by name."""
        return dict(zip(self.names, self.sums / self.count, strict=True))
