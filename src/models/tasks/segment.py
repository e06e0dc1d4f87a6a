"""Say for each pixel of an image what is there: one of the classes of the dataset's maps."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from src.data.dataset import Batch
from src.data.spec import DatasetSpec
from src.models.heads.metrics import TermMeans
from src.models.losses import Loss, create_loss_function
from src.models.named_metrics import ClassMetrics, Config
from src.models.tasks.task import Outputs, ShownMetric, Stage, Task
from src.utils.errors import UserError

if TYPE_CHECKING:
    from src.models.ensemble import Predictor


class SegmentTask(Task):
    """A class of each pixel, from the features (B, D, H, W) of a network with `dense = True`.

    `loss` is the config of a loss that takes maps, `metrics` that of src.models.named_metrics.ClassMetrics; a metric is
    logged as map_NAME. The keys `heads` and `balance` of the model's config have no effect.
    """

    dense = True
    loss_names = ("map",)

    def __init__(
        self,
        feature_dim: int,
        spec: DatasetSpec,
        heads: Mapping[str, Any] | None = None,
        balance: str = "",
        loss: str | Mapping[str, Any] = "cross_entropy",
        metrics: Config = (),
    ):
        super().__init__()
        if not spec.map_classes:
            raise UserError(f"{spec.name}: has no maps; give a dataset that has, as in data=notes, or task=parameters")
        self.classes = spec.map_classes
        self.loss_function = _loss(loss, len(self.classes))
        self.linear = nn.Conv2d(feature_dim, len(self.classes), 1)
        self.register_buffer("weights", torch.ones(1), persistent=False)
        self.means = nn.ModuleDict({stage: TermMeans(["map_loss", "map_acc"]) for stage in ("val", "test")})
        self.metrics = nn.ModuleDict(
            {stage: ClassMetrics(metrics, len(self.classes), "model.task.metrics") for stage in ("val", "test")}
        )

    @property
    def metric_names(self) -> list[str]:
        return ["map_loss", "map_acc", *(f"map_{name}" for name in self._metrics("val").names)]

    @property
    def shown_metrics(self) -> list[ShownMetric]:
        return [ShownMetric("map", "fraction wrong", "map_acc", share=True)]

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Map features (B, D, H, W) to logits, map -> (B, K, H, W)."""
        return {"map": self.linear(features)}

    def batch_losses(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        found = self.loss_function(outputs["map"], _true_map(batch))
        loss = getattr(found, "total", found)[None]  # of a weighted sum
        return loss, loss.detach()

    def observe(self, stage: Stage, outputs: Outputs | None, batch: Batch) -> None:
        if outputs is None:
            return
        loss, _ = self.batch_losses(outputs, batch)
        true = _true_map(batch)
        right = (self.values(outputs) == true).float().mean()
        self._means(stage).update(torch.stack([loss[0].detach(), right]), len(true))
        self._metrics(stage).update(self.probabilities(outputs), true)

    def results(self, stage: Stage) -> dict[str, Tensor]:
        means = self._means(stage)
        results = means.compute()
        means.reset()
        return results | {f"map_{name}": value for name, value in self._metrics(stage).results().items()}

    def values(self, outputs: Outputs) -> Tensor:
        """Return the most likely class of each pixel, (B, H, W) int64."""
        return outputs["map"].argmax(dim=1)

    def probabilities(self, outputs: Outputs) -> Tensor:
        """Return the probability of each class in each pixel, (B, K, H, W)."""
        return outputs["map"].float().softmax(dim=1)

    def _means(self, stage: Stage) -> TermMeans:
        means = self.means[stage]
        assert isinstance(means, TermMeans)
        return means

    def _metrics(self, stage: Stage) -> ClassMetrics:
        metrics = self.metrics[stage]
        assert isinstance(metrics, ClassMetrics)
        return metrics


def predicts_maps(model: "Predictor") -> bool:
    """Return whether a model predicts the class of each pixel."""
    return isinstance(model.heads, SegmentTask)


def map_task_of(model: "Predictor") -> SegmentTask:
    """Return the task of a model; raise UserError if it does not segment."""
    if not isinstance(model.heads, SegmentTask):
        raise UserError("this model predicts no maps; train one with task=segment")
    return model.heads


def _true_map(batch: Batch) -> Tensor:
    if "map" not in batch:
        raise UserError("task=segment: the data has no maps; give a dataset that has, as in data=notes")
    return batch["map"].long()


def _loss(config: str | Mapping[str, Any], num_classes: int) -> Loss:
    try:
        loss = create_loss_function(config, {"num_classes": num_classes})
    except ValueError as error:
        raise UserError(f"model.task.loss: {error}") from error
    if "maps" not in loss.takes:
        raise UserError(f"model.task.loss: {loss.label} takes no maps; give cross_entropy, dice, focal or another")
    return loss
