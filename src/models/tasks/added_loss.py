"""The base of tasks that predict parameters and have one loss beside, or in place of, the losses of the heads."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from src.data.dataset import Batch
from src.data.spec import DatasetSpec
from src.models.heads.metrics import TermMeans
from src.models.losses import Loss
from src.models.losses.combine.balance import make_balance
from src.models.tasks.parameters import ParametersTask
from src.models.tasks.task import Outputs, Stage
from src.utils.errors import UserError


class AddedLossTask(ParametersTask):
    """Parameters, trained by the losses of the heads in `kept` and by one more loss, `added`, of that weight.

    A head whose weight is 0 is not trained by either. `compared` is the loss that `added` computes, if it is one of
    src.models.losses. A subclass sets `added` and implements `measure_added`; it sets `is_ready` in `prepare`. A batch
    without labels has no metrics of the heads.
    """

    takes_mixes = False
    added: ClassVar[str]
    is_ready = False

    def __init__(
        self,
        feature_dim: int,
        spec: DatasetSpec,
        heads: Mapping[str, Any],
        balance: str,
        kept: Sequence[str],
        weight: float,
        compared: Loss | None = None,
    ):
        super().__init__(feature_dim, spec, heads, balance)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise UserError(f"model.task.weight: {weight!r} given; give a number above 0")
        self.full_weight = float(weight)
        at = [spec.space.index(name) for name in kept]
        terms = super().term_names
        of_kept = [number for number, name in enumerate(terms) if name.partition("/")[0] in kept]
        self._labelled = True
        self._kept, self._compound = at, of_kept[len(at) :]
        self.loss_names = [*kept, self.added]
        self._term_names = [*self.loss_names, *(terms[number] for number in self._compound)]
        self.weights = torch.cat([self.weights[at], torch.tensor([self.full_weight])])
        losses = [self.heads[name].loss_function for name in kept]
        try:
            self.balance = make_balance(balance, [*losses, *([compared] if compared else [])], more=not compared)
        except ValueError as error:
            raise UserError(f"model.{error}") from error
        self.means = nn.ModuleDict({stage: TermMeans([f"{self.added}_loss"]) for stage in ("val", "test")})

    @property
    def term_names(self) -> list[str]:
        return self._term_names

    @property
    def metric_names(self) -> list[str]:
        return [*super().metric_names, f"{self.added}_loss"]

    def measure_added(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the mean of the added loss over a batch, a scalar."""
        raise NotImplementedError

    def batch_losses(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        added = self.measure_added(outputs, batch)[None]
        if not self._kept:
            return added, added.detach()
        losses, terms = self.losses(outputs, require_labels(batch))
        losses = torch.cat([losses[self._kept], added.to(losses.dtype)])
        return losses, torch.cat([losses.detach(), terms[self._compound]])

    def observe(self, stage: Stage, outputs: Outputs | None, batch: Batch) -> None:
        self._labelled = "target" in batch
        if self._labelled:
            super().observe(stage, outputs, batch)
        if outputs is not None and self.is_ready:
            self._means(stage).update(self.measure_added(outputs, batch).detach()[None], len(batch["image"]))

    def results(self, stage: Stage) -> dict[str, Tensor]:
        means = self._means(stage)
        results = (super().results(stage) if self._labelled else {}) | means.compute()
        means.reset()
        return results

    def trained_only(self, values: Tensor) -> Tensor:
        """Return predictions (B, P) without gradients to heads that are not trained."""
        return torch.where(self.trained, values, values.detach())

    def _means(self, stage: Stage) -> TermMeans:
        means = self.means[stage]
        assert isinstance(means, TermMeans)
        return means


def require_labels(batch: Batch) -> Tensor:
    """Return a batch's targets (B, P); raise UserError if it has none."""
    if "target" not in batch:
        raise UserError("loss: the data has no labels; give loss=render_only, which needs none")
    return batch["target"]
