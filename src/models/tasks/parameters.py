"""Predict the parameters of each image, one head for each; a class of images is a categorical parameter."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from src.data.dataset import Batch
from src.data.spec import DatasetSpec
from src.models.heads.calibration import Errors
from src.models.heads.metrics import HeadMetrics
from src.models.heads.multi_head import MultiHead, head_configs
from src.models.tasks.task import NO_PARAMETERS, Outputs, Points, ShownMetric, Stage, Task
from src.utils.errors import UserError

if TYPE_CHECKING:
    from src.models.ensemble import Predictor


class ParametersTask(MultiHead, Task):
    """The heads of a dataset's parameters, with their metrics; each validation calibrates their uncertainties."""

    def __init__(self, feature_dim: int, spec: DatasetSpec, heads: Mapping[str, Any], balance: str = "weights"):
        super().__init__(feature_dim, spec.space, head_configs(spec.space, heads), balance)
        self.loss_names = spec.space.names
        self.val_metrics = HeadMetrics(spec.space, self.weights)
        self.val_errors = Errors(len(spec.space))
        self.test_metrics = HeadMetrics(spec.space, self.weights)

    @property
    def trained(self) -> Tensor:
        """Which heads are trained (P,) bool, by whichever loss."""
        return self.val_metrics.trained

    @property
    def metric_names(self) -> list[str]:
        return self.val_metrics.names

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
        return self.losses(outputs, batch["target"])

    def observe(self, stage: Stage, outputs: Outputs | None, batch: Batch) -> None:
        if outputs is None:
            if stage == "val":
                self.val_errors.skip()
            return
        losses, _ = self.losses(outputs, batch["target"])
        metrics = self._metrics(stage)
        metrics.update(self.values(outputs), self.levels(outputs), batch["target"], losses)
        if stage == "val":
            self.val_errors.update(*self.measure(outputs, batch["target"]))

    def results(self, stage: Stage) -> dict[str, Tensor]:
        metrics = self._metrics(stage)
        results = metrics.compute()
        metrics.reset()
        if stage == "val":
            self.calibration.update(self.val_errors.compute())
            self.val_errors.reset()
        return results

    def points(self, outputs: Outputs, batch: Batch) -> Points | None:
        if "target" not in batch:
            return None
        predicted = self.values(outputs).float().cpu().numpy()
        return Points(self.space, self.space.denormalize(batch["target"].cpu().numpy()), predicted)

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
