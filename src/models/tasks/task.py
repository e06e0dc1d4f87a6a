"""The part of a model behind the features: outputs, losses, metrics, and what reports show of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor, nn

from src.data.dataset import Batch
from src.models.heads.multi_head import Estimates
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError

Stage = Literal["val", "test"]
Outputs = Mapping[str, Tensor]
NO_PARAMETERS = "this model predicts no parameters; train one with task=parameters"


@dataclass(frozen=True)
class ShownMetric:
    """A validation metric that a progress table shows; `share` marks a fraction of correct predictions."""

    label: str
    unit: str
    metric: str
    share: bool = False


@dataclass(frozen=True)
class Points:
    """True and predicted values (n, P) of parameters in physical units, for a scatter plot."""

    space: ParameterSpace
    truth: np.ndarray
    predicted: np.ndarray


class Task(nn.Module):
    """What is learned from the features (B, D) of a network.

    It is called with `feature_dim`, the dataset's `spec`, and the keys `heads` and `balance` of the model's config. A
    subclass sets `loss_names` and `weights` (L,), one for each loss, and implements the methods that raise
    NotImplementedError. Metric names have no prefix; logs add val/ or test/. A test reports the metrics; it adds an
    error per parameter for a subclass of src.models.tasks.parameters.ParametersTask, and the error of the images that
    `values` returns if `reconstructs` is true. A task whose `uses_labels` is false takes data with any labels or none.
    A task whose `dense` is true needs features of each pixel (B, D, H, W), from a network that also says so.
    One whose `takes_mixes` is true knows a batch's `other_target` and `share`, see src.data.dataset.
    """

    reconstructs = False
    dense = False
    uses_labels = True
    takes_mixes = False
    loss_names: Sequence[str]
    weights: Tensor

    @property
    def term_names(self) -> list[str]:
        """The names of all losses, and then of the terms of compound losses."""
        return list(self.loss_names)

    @property
    def trained_names(self) -> list[str]:
        """The names of the losses whose weight is above 0."""
        weights = self.weights.tolist()
        return [name for name, weight in zip(self.loss_names, weights, strict=True) if weight > 0]

    @property
    def compares_images(self) -> bool:
        """Whether a loss compares the images with what the labels or predictions sound like."""
        return False

    @property
    def metric_names(self) -> list[str]:
        """The keys of `results`, except loss."""
        raise NotImplementedError

    @property
    def shown_metrics(self) -> list[ShownMetric]:
        """The metrics that a progress table shows."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Map features (B, D) to raw outputs by name, each (B, K)."""
        raise NotImplementedError

    def prepare(self, trust: Iterable[str]) -> None:
        """Get what the losses need beside a batch; `trust` lists the user's own voices that a dataset may name.

        It is called before training and before a test, and raises UserError if something is not available. Most tasks
        need nothing.
        """

    def start_epoch(self, epoch: int) -> None:
        """Set what a schedule of the losses determines, if the task has one.

        It depends on nothing but the epoch, so that a resumed run continues exactly.
        """

    def batch_losses(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the unweighted losses (L,), and without gradients all losses and terms (N,) as in `term_names`."""
        raise NotImplementedError

    def total(self, losses: Tensor, features: Tensor) -> Tensor:
        """Return the loss to minimise, given losses (L,) that depend on features (B, D)."""
        return (self.weights * losses).sum()

    def observe(self, stage: Stage, outputs: Outputs | None, batch: Batch) -> None:
        """Add a batch to the metrics of a stage; outputs are None if this process has no sample of it."""
        raise NotImplementedError

    def results(self, stage: Stage) -> dict[str, Tensor]:
        """Return the metrics of a stage over all processes, with {name}_loss of each loss, and reset them."""
        raise NotImplementedError

    def values(self, outputs: Outputs) -> Tensor:
        """Return predictions: of a ParametersTask (B, P) in physical units, images (B, C, H, W), or maps (B, H, W)."""
        raise NotImplementedError

    def estimates(self, outputs: Outputs) -> Estimates:
        """Return predicted parameters with uncertainties; raise UserError for a task that predicts none."""
        raise UserError(NO_PARAMETERS)

    def points(self, outputs: Outputs, batch: Batch) -> Points | None:
        """Return true and predicted values of a batch for a scatter plot, or None if there is nothing to plot."""
        return None
