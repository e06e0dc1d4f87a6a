"""Distances between levels or fractions of a range, in the parameter's unit."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from src.models.losses.base import Loss, Reduction, one_of, require

Distance = Literal["l1", "l2", "mse", "huber"]
MOST_LEVELS = 65536  # as for heads


class _Distance:
    """A distance that is computed in levels or fractions and returned in physical units, `unit` each.

    An l1 distance scales with the unit, an l2 or Huber distance with its square. The Huber distance is then that of the
    scaled errors with an equally scaled delta.
    """

    def __init__(self, argument: str, kind: Distance, huber_delta: float, unit: float):
        self.kind = one_of(argument, kind, ("l1", "l2", "mse", "huber"))
        require(0 < huber_delta < float("inf"), "huber_delta", huber_delta, "it must be above 0")
        self.huber_delta = huber_delta
        self.scale = unit if kind == "l1" else unit**2

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        target = target.to(prediction.dtype)
        if self.kind == "l1":
            values = (prediction - target).abs()
        elif self.kind == "huber":
            values = functional.huber_loss(prediction, target, reduction="none", delta=self.huber_delta)
        else:
            values = (prediction - target).square()
        return values * self.scale


class OrdinalRegressionLoss(Loss, name="ordinal_regression", takes=("levels",)):
    """D(sum over k of k p_k, y) + alpha (-log p_y), for p = softmax(logits), logits (B, K), levels y (B,) int64.

    D is the distance of the expected level from y in the parameter's unit, where one level is
    step = range / (num_classes - 1): l1 is step |e|, in the unit; l2 is (step e)^2 and huber
    step^2 huber(e), with `huber_delta` in levels, both in the unit squared. The second term is in nats.
    `param_range` is max - min or (min, max).

    Source: Rothe, Timofte & Van Gool, DEX: Deep EXpectation of Apparent Age, ICCV Workshops 2015.
    """

    levels: Tensor

    def __init__(
        self,
        num_classes: int,
        param_range: float | Sequence[float],
        regression_loss: Distance = "l1",
        alpha: float = 0.1,
        huber_delta: float = 1.0,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        require(0 <= alpha < float("inf"), "alpha", alpha, "it must be at least 0")
        self.alpha, self.num_classes = alpha, num_classes
        step = level_step(num_classes, param_range)
        self.distance = _Distance("regression_loss", regression_loss, huber_delta, step)
        self.register_buffer("levels", torch.arange(num_classes, dtype=torch.float32), persistent=False)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        log_p = prediction.log_softmax(dim=1)
        values = self.distance(log_p.exp() @ self.levels.to(log_p.dtype), target)
        if self.alpha:
            values = values + self.alpha * functional.nll_loss(log_p, target, reduction="none")
        return values


class QuantizedRegressionLoss(Loss, name="quantized_regression", takes=("level_value",)):
    """D(x, y) for a predicted level x (B,) real and levels y (B,) int64.

    Distances and units are those of `OrdinalRegressionLoss`. A prediction outside the levels is not
    clamped: its whole error counts, and its gradient points back.

    Source: the definition.
    """

    def __init__(
        self,
        num_classes: int,
        param_range: float | Sequence[float],
        loss_type: Distance = "l1",
        huber_delta: float = 1.0,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        self.distance = _Distance("loss_type", loss_type, huber_delta, level_step(num_classes, param_range))

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.distance(prediction, target)


class NormalizedRegressionLoss(Loss, name="normalized_regression", takes=("physical",)):
    """D(x, (y - min) / (max - min)) for a fraction x (B,) of a linear range and y (B,) in the parameter's unit.

    With `return_perceptual_units` the distance is in the parameter's unit (l1) or its square (l2, also
    called mse, and huber), otherwise in fractions; `huber_delta` is in fractions. Nothing is clamped.

    Source: the definition.
    """

    def __init__(
        self,
        param_range: Sequence[float],
        loss_type: Distance = "l2",
        huber_delta: float = 0.1,
        return_perceptual_units: bool = True,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        require(isinstance(param_range, Sequence), "param_range", param_range, "give (min, max)")
        self.span = range_span(param_range)
        self.low = float(param_range[0])
        self.distance = _Distance("loss_type", loss_type, huber_delta, self.span if return_perceptual_units else 1.0)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.distance(prediction, (target - self.low) / self.span)


def range_span(param_range: float | Sequence[float]) -> float:
    """Return max - min of a range, given as max - min or as (min, max); raise ValueError unless it is above 0."""
    if isinstance(param_range, Sequence):
        require(len(param_range) == 2, "param_range", param_range, "give max - min or (min, max)")
        span = param_range[1] - param_range[0]
    else:
        span = param_range
    require(0 < span < float("inf"), "param_range", param_range, "max must be above min, and both finite")
    return float(span)


def level_step(num_classes: int, param_range: float | Sequence[float]) -> float:
    """Return the distance of neighbouring levels in the parameter's unit."""
    require(2 <= num_classes <= MOST_LEVELS, "num_classes", num_classes, f"it must be from 2 to {MOST_LEVELS}")
    return range_span(param_range) / (num_classes - 1)
