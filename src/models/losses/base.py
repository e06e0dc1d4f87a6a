"""What all losses share: a name for configs, what they take, and per-example values reduced at the end."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

Reduction = Literal["none", "mean", "sum"]


class Loss(nn.Module):
    """A loss with one value per example, in float32 whatever the surrounding precision.

    A subclass implements `per_example` and is declared with its config name and with what its
    prediction and target may be:

    - `waveform`: audio (B, T) or (B, C, T), both;
    - `value`: reals of any equal shape (B, ...), a head's being shares of its range in [0, 1];
    - `physical`: prediction (B,) as a share of the range, target (B,) in the parameter's unit;
    - `level_value`: prediction (B,) real, target (B,) int64, both counted in levels;
    - `levels`: logits (B, K), target (B,) int64 levels, 0 to K - 1 (not every loss checks);
    - `thresholds`: logits (B, K - 1), entry k of "the level is above k", target (B,) int64 levels;
    - `conditional_thresholds`: the same, entry k of "the level is above k, given that it is above k - 1";
    - `gaussian`: mean and log variance (B, 2), target (B,);
    - `mixture`: logits, means and log variances of k components (B, 3k), target (B,);
    - `evidence`: the raw normal-inverse-gamma parameters (B, 4), target (B,).
    """

    registry: ClassVar[dict[str, type["Loss"]]] = {}
    takes: ClassVar[tuple[str, ...]] = ()
    may_be_negative: ClassVar[bool] = False  # a likelihood, a level in dB: a learned weight would run away with it

    def __init_subclass__(cls, name: str, takes: tuple[str, ...], **kwargs: Any):
        super().__init_subclass__(**kwargs)
        known = cls.registry.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{cls.__module__}.{cls.__qualname__}: '{name}' is {known.__name__}'s; choose another")
        cls.takes = takes
        cls.registry[name] = cls

    def __init__(self, reduction: Reduction = "mean"):
        super().__init__()
        self.reduction = one_of("reduction", reduction, ("none", "mean", "sum"))

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """Return the loss: (B,) where reduction is none, else a scalar."""
        values = self.values(prediction, target)
        if self.reduction == "none":
            return values
        return values.mean() if self.reduction == "mean" else values.sum()

    def values(self, prediction: Tensor, target: Any) -> Tensor:
        """Return each example's loss (B,) in float32 or float64, never in half precision."""
        device = prediction.device.type
        if torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                values = self.per_example(_widen(prediction), _widen(target))
        else:
            values = self.per_example(_widen(prediction), _widen(target))
        if values.shape != prediction.shape[:1]:  # a target (B, 1) beside a prediction (B,), say
            given = f"prediction {tuple(prediction.shape)} and target {tuple(getattr(target, 'shape', ()))}"
            raise ValueError(f"{given} gave values {tuple(values.shape)}; give shapes that match, one value an example")
        return values

    def prepare(self, target: Tensor) -> Any:
        """Return what may be passed in the place of a waveform that is the target again and again."""
        return _widen(target.detach())

    def per_example(self, prediction: Tensor, target: Any) -> Tensor:
        """Return each example's loss (B,), independent of the other examples."""
        raise NotImplementedError


def one_of(argument: str, given: Any, allowed: tuple[Any, ...]) -> Any:
    """Return a given value that is allowed; ValueError otherwise."""
    if given not in allowed:
        raise ValueError(f"{argument}: {given!r} given; one of {', '.join(map(str, allowed))}")
    return given


def require(valid: bool, argument: str, given: Any, allowed: str) -> None:
    """Raise ValueError, with the value given and what is allowed, unless an argument is valid."""
    if not valid:
        raise ValueError(f"{argument}: {given!r} given; {allowed}")


def same_shape(prediction: Tensor, target: Tensor) -> None:
    """Raise a ValueError unless both shapes are equal, since broadcasting would hide a mistake."""
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ; give equal shapes"
        )


def _widen(value: Any) -> Any:
    """Return half-precision tensors as float32 and anything else as it is."""
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
