"""The kinds of prediction and target that losses take, and the check that every loss makes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Kind(NamedTuple):
    """A description of the inputs, and a function that says whether a prediction and a target are of this kind."""

    description: str
    fits: Callable[[Tensor, Tensor], bool]


def _same_shape(prediction: Tensor, target: Tensor) -> bool:
    return target.is_floating_point() and prediction.shape == target.shape


def _audio(prediction: Tensor, target: Tensor) -> bool:
    return prediction.ndim in (2, 3) and _same_shape(prediction, target)


def _value_for_each(prediction: Tensor, target: Tensor) -> bool:
    return target.is_floating_point() and target.shape == prediction.shape[:1]


def _level_for_each(prediction: Tensor, target: Tensor) -> bool:
    return target.dtype == torch.int64 and target.shape == prediction.shape[:1]


def _levels(prediction: Tensor, target: Tensor, thresholds: bool = False) -> bool:
    if prediction.ndim != 2 or not _level_for_each(prediction, target):
        return False
    return _in_range(prediction, target, thresholds)


def _maps(prediction: Tensor, target: Tensor) -> bool:
    is_map = prediction.ndim == 4 and target.ndim == 3 and target.dtype == torch.int64
    if not is_map or target.shape != prediction[:, 0].shape:
        return False
    return _in_range(prediction, target)


def _in_range(prediction: Tensor, target: Tensor, thresholds: bool = False) -> bool:
    if target.device.type != "cpu":  # reading the range would wait for an accelerator
        return True
    low, high = torch.aminmax(target)
    return int(low) >= 0 and int(high) < prediction.shape[1] + thresholds


def _thresholds(prediction: Tensor, target: Tensor) -> bool:
    return _levels(prediction, target, thresholds=True)


def _columns(prediction: Tensor, target: Tensor, count: int) -> bool:
    return prediction.ndim == 2 and prediction.shape[1] == count and _value_for_each(prediction, target)


KINDS = {
    "waveform": Kind("audio (B, T) or (B, C, T), prediction and target of the same shape", _audio),
    "value": Kind("reals (B, ...), prediction and target of the same shape; a head gives [0, 1]", _same_shape),
    "physical": Kind(
        "a fraction of the range (B,), and the target (B,) in the parameter's unit",
        lambda prediction, target: prediction.ndim == 1 and _value_for_each(prediction, target),
    ),
    "level_value": Kind(
        "a real number of levels (B,), and the target level (B,) int64",
        lambda prediction, target: prediction.ndim == 1 and _level_for_each(prediction, target),
    ),
    "levels": Kind("logits (B, K), and levels (B,) int64 from 0 to K - 1", _levels),
    "maps": Kind("logits (B, K, H, W), and levels (B, H, W) int64 from 0 to K - 1", _maps),
    "boxes": Kind(
        "boxes (B, 4), x1, y1, x2, y2 with x1 < x2 and y1 < y2, prediction and target",
        lambda prediction, target: prediction.shape[1:] == (4,) and _same_shape(prediction, target),
    ),
    "probabilities": Kind(
        "logits (B, K), and target probabilities (B, K)",
        lambda prediction, target: prediction.ndim == 2 and _same_shape(prediction, target),
    ),
    "thresholds": Kind("logits (B, K - 1) of 'above level k', and levels (B,) int64 from 0 to K - 1", _thresholds),
    "conditional_thresholds": Kind(
        "logits (B, K - 1) of 'above level k, given above k - 1', and levels (B,) int64 from 0 to K - 1", _thresholds
    ),
    "gaussian": Kind(
        "mean and log variance (B, 2), and the target (B,)",
        lambda prediction, target: _columns(prediction, target, 2),
    ),
    "mixture": Kind(
        "logits, means and log variances of k components (B, 3 k), and the target (B,)",
        lambda prediction, target: (
            prediction.ndim == 2 and prediction.shape[1] % 3 == 0 and _value_for_each(prediction, target)
        ),
    ),
    "evidence": Kind(
        "normal-inverse-gamma parameters before their softplus (B, 4), and the target (B,)",
        lambda prediction, target: _columns(prediction, target, 4),
    ),
}


def require_input(loss: str, takes: Sequence[str], prediction: Any, target: Any) -> None:
    """Raise ValueError unless a prediction and a target are of a kind that a loss takes, and are not empty.

    A target that is a tuple or a list was prepared from audio by the loss itself. Values are not checked, since that
    would wait for an accelerator: a NaN gives a NaN. Levels on the CPU are the exception.
    """
    if isinstance(prediction, Tensor) and prediction.is_floating_point() and prediction.ndim and prediction.numel():
        if isinstance(target, tuple | list):
            if "waveform" in takes and prediction.ndim in (2, 3):
                return
        elif isinstance(target, Tensor) and any(KINDS[kind].fits(prediction, target) for kind in takes):
            return
    wanted = "; or ".join(KINDS[kind].description for kind in takes)
    given = f"prediction {_described(prediction)} and target {_described(target)}"
    raise ValueError(f"{loss}: {given} given; it takes {wanted}, and neither may be empty")


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"of type {type(value).__name__}"
    text = f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    if value.numel() and value.device.type == "cpu" and value.dtype == torch.int64:
        text += f" from {int(value.min())} to {int(value.max())}"
    return text
