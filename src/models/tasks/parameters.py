"""Predict the parameters of each image, one head for each; a class of images is a categorical parameter."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from src.data.dataset import Batch
from src.data.spec import DatasetSpec
from src.models.heads.calibration import Errors
from src.models.heads.metrics import HeadMetrics
from src.models.heads.multi_head import MultiHead, head_configs
from src.models.named_metrics import ClassMetrics, Config
from src.models.tasks.task import NO_PARAMETERS, Outputs, Points, ShownMetric, Stage, Task
from src.parameters.codec import to_class, to_physical
from src.utils.errors import UserError

if TYPE_CHECKING:
    from src.models.ensemble import Predictor


_STAGES: tuple[Stage, ...] = ("val", "test")
_METRICS = "model.task.metrics"


class ParametersTask(MultiHead, Task):
    """The heads of a dataset's parameters, with their metrics; each validation calibrates their uncertainties.

    `metrics` is the config of further metrics of each categorical head, see src.models.named_metrics.ClassMetrics; they
    are logged as HEAD_NAME. Heads without probabilities of their categories have none.
    """

    takes_mixes = True

    def __init__(
        self,
        feature_dim: int,
        spec: DatasetSpec,
        heads: Mapping[str, Any],
        balance: str = "weights",
        metrics: Config = (),
    ):
        super().__init__(feature_dim, spec.space, head_configs(spec.space, heads), balance)
        self.loss_names = spec.space.names
        self.val_metrics = HeadMetrics(spec.space, self.weights)
        self.val_errors = Errors(len(spec.space))
        self.test_metrics = HeadMetrics(spec.space, self.weights)
        sizes = self._numbers_of_categories(feature_dim) if metrics else {}
        if metrics and not sizes:
            raise UserError(f"{_METRICS}: given, but no head predicts categories; leave it out")
        self._named_for = list(sizes)
        for_stage = {stage: [ClassMetrics(metrics, size, _METRICS) for size in sizes.values()] for stage in _STAGES}
        self.named_metrics = nn.ModuleDict({stage: nn.ModuleList(found) for stage, found in for_stage.items()})

    @property
    def trained(self) -> Tensor:
        """Which heads are trained (P,) bool, by whichever loss."""
        return self.val_metrics.trained

    @property
    def metric_names(self) -> list[str]:
        named = [f"{head}_{name}" for head, metrics in self._named("val") for name in metrics.names]
        return [*self.val_metrics.names, *named]

    @property
    def shown_metrics(self) -> list[ShownMetric]:
        rows = []
        for spec in self.space:
            if spec.kind == "categorical":
                rows.append(ShownMetric(spec.name, "fraction wrong", f"{spec.name}_acc", share=True))
            else:
                rows.append(ShownMetric(spec.name, spec.unit, f"{spec.name}_mae"))
        return rows

    def batch_losses(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        mixed = (batch["other_target"], batch["share"]) if "share" in batch else None
        return self.losses(outputs, batch["target"], mixed)

    def observe(self, stage: Stage, outputs: Outputs | None, batch: Batch) -> None:
        if outputs is None:
            if stage == "val":
                self.val_errors.skip()
            return
        losses, _ = self.losses(outputs, batch["target"])
        metrics = self._metrics(stage)
        metrics.update(self.values(outputs), self.levels(outputs), batch["target"], losses)
        if self._named_for:
            self._observe_categories(stage, self.probabilities(outputs), batch["target"])
        if stage == "val":
            self.val_errors.update(*self.measure(outputs, batch["target"]))

    def results(self, stage: Stage) -> dict[str, Tensor]:
        metrics = self._metrics(stage)
        results = metrics.compute()
        metrics.reset()
        for head, named in self._named(stage):
            results |= {f"{head}_{name}": value for name, value in named.results().items()}
        if stage == "val":
            self.calibration.update(self.val_errors.compute())
            self.val_errors.reset()
        return results

    def points(self, outputs: Outputs, batch: Batch) -> Points | None:
        if "target" not in batch:
            return None
        predicted = self.values(outputs).float().cpu().numpy()
        return Points(self.space, self.space.denormalize(batch["target"].cpu().numpy()), predicted)

    def _numbers_of_categories(self, feature_dim: int) -> dict[str, int]:
        """Return the number of categories of each head that has their probabilities."""
        with torch.no_grad():
            found = self.probabilities(self(torch.zeros(1, feature_dim)))
        return {name: probabilities.shape[1] for name, probabilities in found.items()}

    def _observe_categories(self, stage: Stage, probabilities: Mapping[str, Tensor], target: Tensor) -> None:
        for head, named in self._named(stage):
            at = self.space.index(head)
            spec = self.space.varying[at]
            named.update(probabilities[head].detach(), to_class(spec, to_physical(spec, target[:, at])))

    def _named(self, stage: Stage) -> list[tuple[str, ClassMetrics]]:
        """Return the further metrics of each categorical head by its name."""
        found = cast(nn.ModuleList, self.named_metrics[stage])
        return [(head, cast(ClassMetrics, one)) for head, one in zip(self._named_for, found, strict=True)]

    def _metrics(self, stage: Stage) -> HeadMetrics:
        return self.val_metrics if stage == "val" else self.test_metrics


def predicts_parameters(model: "Predictor") -> bool:
    """Return whether a model predicts the parameters of its dataset."""
    return isinstance(model.heads, ParametersTask)


def parameters_of(model: "Predictor") -> ParametersTask:
    """Return the heads of a model; raise UserError if it predicts no parameters."""
    if not isinstance(model.heads, ParametersTask):
        raise UserError(NO_PARAMETERS)
    return model.heads
