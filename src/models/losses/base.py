"""The base class of losses: a name for configs, the inputs that a loss takes, and values per example."""

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from src.models.losses.inputs import KINDS, require_input
from src.utils.errors import shown

Reduction = Literal["none", "mean", "sum"]


class Loss(nn.Module):
    """A loss with one value per example, in float32 or float64 for any precision of the model.

    A subclass declares its name in configs and the inputs that it takes, and defines `per_example`:

        class CubeLoss(Loss, name="cube", takes=("value",)):
            def per_example(self, prediction, target):
                return (prediction - target).abs() ** 3

    `takes` lists keys of `src.models.losses.inputs.KINDS`, which describe prediction and target; both are checked
    before `per_example` is called. Raises TypeError for a subclass that omits one of the three.
    """

    registry: ClassVar[dict[str, type["Loss"]]] = {}
    takes: tuple[str, ...] = ()
    num_classes: int | None = None  # for losses with a fixed number of levels
    may_be_negative: bool = False  # likelihoods and levels in dB: a learned weight would grow without bound

    def __init_subclass__(cls, name: str | None = None, takes: tuple[str, ...] | str | None = None, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        takes = (takes,) if isinstance(takes, str) else takes
        if name is None or takes is None or cls.per_example is Loss.per_example:
            raise TypeError(
                f"{cls.__name__}: a loss needs a name, what it takes, and per_example: "
                f"class {cls.__name__}(Loss, name='my_loss', takes=('value',)) with a method "
                "per_example(self, prediction, target) that returns one value per example, (B,); "
                f"takes is one or more of {', '.join(KINDS)}"
            )
        for kind in takes:
            if kind not in KINDS:
                raise TypeError(
                    f"{cls.__name__}: takes {shown(kind)} given; it must be one or more of {', '.join(KINDS)}"
                )
        known = cls.registry.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__name__}: the name '{name}' belongs to {known.__name__}; choose another")
        cls.takes = takes
        cls.registry[name] = cls

    def __init__(self, reduction: Reduction = "mean"):
        super().__init__()
        self.reduction = one_of("reduction", reduction, ("none", "mean", "sum"))

    @property
    def label(self) -> str:
        """The name of this loss in messages."""
        return type(self).__name__

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """Return the loss: (B,) if reduction is none, otherwise a scalar."""
        values = self.values(prediction, target)
        if self.reduction == "none":
            return values
        return values.mean() if self.reduction == "mean" else values.sum()

    def values(self, prediction: Tensor, target: Any) -> Tensor:
        """Return each example's loss (B,) in float32 or float64; raise ValueError for inputs that do not fit."""
        values = self._checked(self.per_example, prediction, target)
        if values.shape != prediction.shape[:1]:
            raise ValueError(
                f"{self.label}: per_example returned {tuple(values.shape)} for a prediction "
                f"{tuple(prediction.shape)}; return one value per example, {tuple(prediction.shape[:1])}"
            )
        return values

    def _checked(self, compute: Callable[[Tensor, Any], Any], prediction: Tensor, target: Any) -> Any:
        """Check the inputs and call `compute`, without half precision and autocast."""
        prediction, target = _widen(prediction), _widen(target)
        require_input(self.label, self.takes, prediction, target)
        if self.num_classes is not None and prediction.shape[1] != self.num_classes:
            raise ValueError(
                f"{self.label}: prediction {tuple(prediction.shape)} given, but num_classes is {self.num_classes}"
            )
        with _without_autocast(prediction):
            return compute(prediction, target)

    @torch.no_grad()
    def prepare(self, target: Tensor) -> Any:
        """Return precomputed features of a target that is used many times, to be passed instead of it."""
        target = _widen(target.detach())
        if "waveform" in self.takes:
            require_input(self.label, self.takes, target, target)
        with _without_autocast(target):
            return self.prepared(target)

    def prepared(self, target: Tensor) -> Any:
        """Return the features of a target, or the target itself if the loss uses none."""
        return target

    def per_example(self, prediction: Tensor, target: Any) -> Tensor:
        """Return each example's loss (B,), independent of the other examples."""
        raise NotImplementedError


def one_of(argument: str, given: Any, allowed: tuple[Any, ...]) -> Any:
    """Return a given value; raise ValueError unless it is allowed."""
    if given not in allowed:
        raise ValueError(f"{argument}: {shown(given)} given; give one of {', '.join(map(str, allowed))}")
    return given


def require(valid: bool, argument: str, given: Any, allowed: str) -> None:
    """Raise ValueError, with the given value and what is allowed, unless an argument is valid."""
    if not valid:
        raise ValueError(f"{argument}: {shown(given)} given; {allowed}")


def require_pairs(num_classes: int) -> None:
    """Raise ValueError unless a table of all pairs of levels needs at most 64 MiB."""
    require(
        2 <= num_classes <= 4096, "num_classes", num_classes, "it must be from 2 to 4096, to limit a table of pairs"
    )


def mean_of_pixels(values: Tensor) -> Tensor:
    """Return the mean (B,) of each example's values (B,) or (B, H, W)."""
    return values.flatten(1).mean(dim=1) if values.ndim > 1 else values


def _widen(value: Any) -> Any:
    """Return half-precision tensors as float32, and anything else unchanged."""
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value


def _without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager:
    device = tensor.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()
