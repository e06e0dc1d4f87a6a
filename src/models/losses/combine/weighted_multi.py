"""A weighted sum of several losses, with separate access to its terms."""

from collections.abc import Mapping, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from src.models.losses.base import Loss, Reduction
from src.models.losses.combine.balance import make_balance
from src.models.losses.combine.multi_entries import validate_entries, weight_at


class MultiLoss(NamedTuple):
    """A total, (B,) or a scalar, and the batch means of its terms, by name; nested names are outer/inner.

    The raw terms are in the order of `WeightedMultiLoss.term_names`.
    """

    total: Tensor
    weighted: dict[str, Tensor]
    raw: dict[str, Tensor]


class WeightedMultiLoss(Loss, name="weighted_multi", takes=()):
    """sum_i weight_i * loss_i(prediction, target), with named terms.

    `losses` is a list of {loss, weight, name}: `loss` is a config or a loss, `weight` (default 1) a number >= 0 or a
    schedule {start, end, steps, shape: linear|cosine|exponential} over training batches, `name` (default: its short
    name). `balance`: `weights` uses the weights directly, `gradient` as shares of the gradient at the prediction,
    `uncertainty` learns additional weights (src.models.losses.combine.balance). It takes the kinds of input that all
    its losses take. One ValueError reports all faults.

    Source: the definition.
    """

    step: Tensor
    _weights: Tensor

    def __init__(
        self,
        losses: Sequence[Mapping[str, Any]],
        balance: str = "weights",
        reduction: Reduction = "mean",
        context: Mapping[str, Any] | None = None,
    ):
        super().__init__(reduction)
        built, schedules, names = validate_entries(losses, context)
        self.losses = nn.ModuleList(built)
        self.names = names
        self._schedules = schedules if any(isinstance(weight, Mapping) for weight in schedules) else None
        at_start = torch.tensor([weight_at(weight, 0) for weight in schedules])
        self.register_buffer("_weights", at_start, persistent=False)
        self.takes = tuple(kind for kind in built[0].takes if all(kind in loss.takes for loss in built))
        if not self.takes:
            pairs = zip(names, built, strict=True)
            kinds = "; ".join(f"{name} takes {' or '.join(loss.takes)}" for name, loss in pairs)
            raise ValueError(f"losses: no prediction suits all of them ({kinds}); use losses of one kind")
        readers = [name for name, loss in zip(names, built, strict=True) if hasattr(loss, "distribution")]
        if readers and len(built) > 1:
            raise ValueError(f"losses: {readers[0]} does not interpret the logits as a softmax; use it alone")
        for reading in ("distribution", "belief"):
            if hasattr(built[0], reading):
                setattr(self, reading, getattr(built[0], reading))
        if "physical" in self.takes:
            physical: list[Any] = built  # losses of physical values have low and span
            ranges = {(loss.low, loss.span) for loss in physical}
            low, span = ranges.pop() if len(ranges) == 1 else (None, None)
            self.low: float | None = low
            self.span: float | None = span
        self.balance = make_balance(balance, built)
        self.may_be_negative = balance == "uncertainty" or any(loss.may_be_negative for loss in built)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    @property
    def term_names(self) -> list[str]:
        """The names of all terms; nested terms follow the term that contains them."""
        names: list[str] = []
        for name, loss in zip(self.names, self.losses, strict=True):
            names.append(name)
            if isinstance(loss, WeightedMultiLoss):
                names += [f"{name}/{inner}" for inner in loss.term_names]
        return names

    def prepared(self, target: Tensor) -> list[Any]:
        """Return each loss's prepared form of a target."""
        return [loss.prepared(target) for loss in self.losses if isinstance(loss, Loss)]

    def weights(self) -> Tensor:
        """Return the weights (N,) at the current training batch."""
        if self._schedules is None:
            return self._weights
        step = int(self.step)
        return self._weights.new_tensor([weight_at(weight, step) for weight in self._schedules])

    def forward(self, prediction: Tensor, target: Any) -> MultiLoss:  # type: ignore[override]
        """Return the total and each term, weighted and raw."""
        in_batch = self.reduction == "mean"
        evaluate = partial(self._evaluate, in_batch=in_batch)
        total, weighted, raw = self._checked(evaluate, prediction, target)
        if self.reduction == "sum":
            total = total.sum()
        return MultiLoss(total, weighted, {name: raw[name] for name in self.term_names})

    def per_example(self, prediction: Tensor, target: Any) -> Tensor:
        """Return each example's total (B,)."""
        return self._evaluate(prediction, target, in_batch=False)[0]

    def _evaluate(
        self, prediction: Tensor, target: Any, in_batch: bool
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Return the total, a mean `in_batch` or (B,), and the means of the weighted and of the raw terms."""
        values: list[Tensor] = []
        inner_weighted: dict[str, Tensor] = {}
        inner_raw: dict[str, Tensor] = {}
        prepared = target if isinstance(target, list) else [target] * len(self.losses)
        for name, loss, own in zip(self.names, self.losses, prepared, strict=True):
            if isinstance(loss, WeightedMultiLoss):
                total, weighted, raw = loss._evaluate(prediction, own, in_batch)
                inner_weighted |= {f"{name}/{key}": value for key, value in weighted.items()}
                inner_raw |= {f"{name}/{key}": value for key, value in raw.items()}
                values.append(total)
            else:
                one = cast(Loss, loss)
                values.append(one(prediction, own) if in_batch else one.values(prediction, own))
        means = torch.stack([value.mean() for value in values])
        factors, offsets = self.balance(means, self.weights().to(means), prediction)
        if self.training:
            self.step += 1
        total = reduce(torch.add, (factors[at] * value + offsets[at] for at, value in enumerate(values)))
        weighted = dict(zip(self.names, factors * means + offsets, strict=True))
        return total, weighted | inner_weighted, dict(zip(self.names, means, strict=True)) | inner_raw
