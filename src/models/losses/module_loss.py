"""Any `torch.nn.Module` as a loss, from torch.nn, auraloss or the user."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.models.losses import known_modules
from src.models.losses.base import Loss, require
from src.models.losses.inputs import KINDS

_TAKES = ("levels", "value", "waveform", "maps")
_REDUCTIONS = ("none", "mean", "sum")


class ModuleLoss(Loss, name="module", takes=()):
    """A module that is called with prediction and target, which are levels, value, waveform or maps by `takes`.

    `takes` can be omitted for losses of torch.nn and auraloss, and for a module with an attribute of that name. Values
    per example, for reduction none, are those that the module returns with its attribute `reduction` set to none,
    averaged over all axes except the batch; if it has no such attribute, the module is called for each example
    separately. The mean and the sum are the module's own, on the whole batch.

    torch.nn.BCEWithLogitsLoss gets levels as one-hot rows (B, K), and its logits are read as independent
    probabilities, scaled to a sum of 1.

    Source: Paszke et al., PyTorch: An Imperative Style, High-Performance Deep Learning Library, arXiv 1912.01703.
    """

    def __init__(self, module: nn.Module, takes: str | Sequence[str] | None = None):
        reduction: Any = getattr(module, "reduction", "mean")
        super().__init__(reduction if reduction in _REDUCTIONS else "mean")
        self.module = module
        self.takes = self._takes(takes)
        self.may_be_negative = bool(getattr(module, "may_be_negative", known_modules.may_be_negative(module)))
        self.label_smoothing = getattr(module, "label_smoothing", 0.0)
        self._sums = reduction == "sum"
        self._one_hot = isinstance(module, nn.BCEWithLogitsLoss) and "levels" in self.takes
        if self._one_hot:
            self.distribution = independent_probabilities
        try:
            inspect.signature(module.forward).bind(None, None)
        except TypeError as error:
            raise ValueError(f"{self.label}: it cannot be called with prediction and target ({error})") from error

    @property
    def label(self) -> str:
        """The name of the module's class."""
        return type(self.module).__name__

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """Return the loss: (B,) if reduction is none, otherwise the module's own scalar."""
        if self.reduction == "none":
            return self.values(prediction, target)
        result = self._checked(self._call, prediction, target)
        return result.mean() if self.reduction == "mean" else result.sum()

    def per_example(self, prediction: Tensor, target: Any) -> Tensor:
        """Return each example's loss (B,)."""
        if getattr(self.module, "reduction", None) in _REDUCTIONS and not known_modules.pools_the_batch(self.module):
            values = self._without_reduction(prediction, target)
            if values.ndim and len(values) == len(prediction):
                return self._over_rest(values)
        pairs = zip(prediction.split(1), target.split(1), strict=True)
        return torch.cat([self._over_rest(self._call(*pair).reshape(1, -1)) for pair in pairs])

    def _takes(self, given: str | Sequence[str] | None) -> tuple[str, ...]:
        given = getattr(self.module, "takes", None) if given is None else given
        takes = () if given is None else tuple(given) if isinstance(given, list | tuple) else (given,)
        for kind in takes:
            require(kind in _TAKES, f"{self.label}: takes", kind, f"it must be one or more of {', '.join(_TAKES)}")
        takes = takes or known_modules.known_takes(self.module)
        if not takes:
            kinds = "; ".join(f"{kind} is {KINDS[kind].description}" for kind in _TAKES)
            cause = known_modules.INSTEAD.get(self.label, f"state what it takes, as in takes: value; {kinds}")
            raise ValueError(f"{self.label}: {cause}")
        return takes

    def _call(self, prediction: Tensor, target: Tensor) -> Tensor:
        if self._one_hot:
            target = torch.zeros_like(prediction).scatter_(1, target[:, None], 1.0)
        if prediction.ndim == 2 and known_modules.takes_channels(self.module):
            prediction, target = prediction[:, None], target[:, None]
        result = self.module(prediction, target)
        if not isinstance(result, Tensor):
            raise ValueError(f"{self.label}: it returned a {type(result).__name__}; a loss returns one tensor")
        return result

    def _without_reduction(self, prediction: Tensor, target: Tensor) -> Tensor:
        module: Any = self.module
        own, module.reduction = module.reduction, "none"
        try:
            return self._call(prediction, target)
        finally:
            module.reduction = own

    def _over_rest(self, values: Tensor) -> Tensor:
        rows = values.reshape(len(values), -1)
        return rows.sum(dim=1) if self._sums else rows.mean(dim=1)


def independent_probabilities(logits: Tensor) -> Tensor:
    """Return probabilities (B, K) that sum to 1 from logits (B, K) of one yes-or-no question for each level."""
    return functional.logsigmoid(logits).softmax(dim=1)
