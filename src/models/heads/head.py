"""Heads: map a network's outputs for one parameter to a value, a level, a distribution and a spread."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from src.models.losses import WeightedMultiLoss, create_loss_function, losses_taking, require_usable
from src.models.losses.levels.cumulative_logits import coral_distribution, corn_distribution
from src.models.losses.levels.ordinal import OrdinalRegressionLoss
from src.models.losses.levels.soft_target import SoftTargetLoss
from src.parameters.codec import class_position, from_class, to_class, to_physical, to_unit
from src.parameters.spec import ParameterSpec

_STRETCH = 0.1  # of the range, beyond either end

Kind = Literal["regression", "classification", "ordinal", "coral", "corn", "categorical", "mixture", "evidential"]
_LEVEL_KINDS = ("classification", "ordinal", "coral", "corn")
_OPTIONS = {"levels": _LEVEL_KINDS, "variance": ("regression",), "components": ("mixture",), "output": ("regression",)}


class HeadConfig(BaseModel):
    """How one parameter is predicted, and the weight of its loss."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Kind = "regression"
    loss: str | dict[str, Any] | None = None  # a config for create_loss_function; None: the kind's default
    weight: float = Field(1.0, ge=0)
    levels: Literal["step"] | int = "step"  # the parameter's step grid, or this number of levels over its range
    variance: bool = False  # regression: a second output is the variance of the first
    components: int = Field(3, ge=1, le=64)  # of a mixture
    output: Literal["sigmoid", "linear"] = "sigmoid"  # regression: a stretched sigmoid, or the output itself

    @model_validator(mode="after")
    def _check_options(self) -> "HeadConfig":
        if isinstance(self.levels, int) and not 2 <= self.levels <= 65536:
            raise ValueError(f"levels {self.levels} given; give step, or a number from 2 to 65536")
        for option, kinds in _OPTIONS.items():
            if option in self.model_fields_set and self.kind not in kinds:
                raise ValueError(f"{option} is for {' and '.join(kinds)} heads, but this head's kind is {self.kind}")
        return self


def stretched_sigmoid(raw: Tensor) -> Tensor:
    """Map reals to slightly more than [0, 1].

    A plain sigmoid reaches 0 and 1 only at infinity, which biases predictions away from the ends of the range. This
    function crosses them, and values are clamped.
    """
    return (1.0 + 2.0 * _STRETCH) * raw.sigmoid() - _STRETCH


def unit_value(raw: Tensor, config: HeadConfig) -> Tensor:
    """Map raw outputs (B,) to values on [0, 1] and slightly beyond: as they are, or by a stretched sigmoid."""
    return raw if config.output == "linear" else stretched_sigmoid(raw)


def middle_of_range(config: HeadConfig, num_outputs: int) -> Tensor:
    """Return biases (num_outputs,) with which the first output starts in the middle of the range."""
    bias = torch.zeros(num_outputs)
    bias[0] = 0.5 if config.output == "linear" else 0.0
    return bias


class _IntoRange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, unit: Tensor) -> Tensor:
        ctx.save_for_backward(unit)
        return unit.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (unit,), (gradient,) = ctx.saved_tensors, gradients
        outwards = ((unit < 0) & (gradient > 0)) | ((unit > 1) & (gradient < 0))
        return torch.where(outwards, 0.0, gradient)


def into_range(unit: Tensor) -> Tensor:
    """Clamp to [0, 1]; a value beyond an end keeps the gradient that leads it back, so that a loss on it can train."""
    return _IntoRange.apply(unit) if unit.requires_grad else unit.clamp(0.0, 1.0)


class Head(nn.Module):
    """One parameter's head; raw outputs are (B, num_outputs), targets (B,) in [0, 1] on its scale.

    A subclass sets `feeds` (the kinds of prediction that it can pass to a loss, see src.models.losses.base) and
    `num_outputs`, and implements `feed`, `value` and, if its outputs describe a distribution, `distribution` and
    `spread`.
    """

    nominal = False  # True if its values are categories, which have no distance from each other

    feeds: ClassVar[tuple[str, ...]]
    default_loss: ClassVar[str | dict[str, Any]]

    def __init__(self, spec: ParameterSpec, config: HeadConfig, num_classes: int | None = None):
        super().__init__()
        self.spec, self.config = spec, config
        # a range of 1: losses are fractions of the range, so heads have the same weight whatever their unit
        context = {"num_classes": num_classes or spec.num_classes, "param_range": (0.0, 1.0)}
        chosen = self.default_loss if config.loss is None else config.loss
        self.loss_function = create_loss_function(chosen, context)
        reduction = self.loss_function.reduction
        if reduction != "mean":
            raise ValueError(f"reduction: {reduction!r} given; a head's loss is a mean, so leave it out")
        self.loss_kind = next((kind for kind in self.loss_function.takes if kind in self.feeds), None)
        if self.loss_kind is None:
            article = "an" if config.kind[0] in "aeiou" else "a"
            fitting = ", ".join(losses_taking(self.feeds))
            raise ValueError(f"loss {chosen} does not suit {article} {config.kind} head; give one of {fitting}")

    @property
    def num_outputs(self) -> int:
        """The number of raw outputs K."""
        raise NotImplementedError

    def loss(self, raw: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of a batch, and its terms by name if it has several."""
        result = self.loss_function(*self.feed(raw, target))
        return (result.total, result.raw) if isinstance(self.loss_function, WeightedMultiLoss) else (result, {})

    @property
    def takes_mixes(self) -> bool:
        """Whether the loss of a mixed image can be the mean of its losses for two labels.

        It can for probabilities of levels or categories, one of which may have both labels' shares. A single value, or
        the expectation of ordered levels, would be drawn to a parameter between, which neither image shows.
        """
        return False

    @property
    def compound(self) -> bool:
        """Whether the loss is a sum of several, which are logged as terms."""
        return isinstance(self.loss_function, WeightedMultiLoss)

    def mixed_loss(self, raw: Tensor, target: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Return the mean loss of mixed images, of which `share` (B,) have the target and the rest the other one."""
        ours, theirs = (self.loss_function.values(*self.feed(raw, label)) for label in (target, other))
        return (share * ours + (1.0 - share) * theirs).mean()

    def try_loss(self) -> None:
        """Compute a copy of the loss on two examples; raise ValueError, with its arguments, if that fails."""
        with torch.enable_grad():  # also if a model is only restored
            raw = torch.zeros(2, self.num_outputs, requires_grad=True)
            require_usable(self.loss_function, *self.feed(raw, torch.tensor([0.0, 1.0])))

    def feed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the prediction and the target for the loss."""
        raise NotImplementedError

    def initial_bias(self) -> Tensor:
        """Return an addition to the bias of the raw outputs before training, (num_outputs,)."""
        return torch.zeros(self.num_outputs)

    def value(self, raw: Tensor) -> Tensor:
        """Return physical values (B,)."""
        raise NotImplementedError

    def level(self, raw: Tensor) -> Tensor:
        """Return classes of the step grid (B,) int64."""
        return to_class(self.spec, self.value(raw))

    def score(self, raw: Tensor, explained: Tensor) -> Tensor:
        """Return the differentiable number (B,) behind the value, which explains the value of the outputs (1, K) given.

        It is the value on [0, 1] before it is limited to the range. A category or a peak that the value selects is that
        of `explained` for all rows; the number of a category is its logit.
        """
        return to_unit(self.spec, self.value(raw))

    def distribution(self, raw: Tensor) -> Tensor | None:
        """Return the probabilities of the levels (B, K), or None if this head has none."""
        return None

    def spread(self, raw: Tensor) -> Tensor | None:
        """Return the standard deviation (B,) of the distribution from the value, on [0, 1], or None without one.

        It follows from the outputs and is not calibrated: see src.models.heads.calibration.
        """
        return None

    def width(self, raw: Tensor) -> Tensor:
        """Return the width (B,) of a level at the value, on [0, 1]."""
        return raw.new_full((len(raw),), 1.0 / (self.spec.num_classes - 1))


class RegressionHead(Head):
    """One output: the parameter in [0, 1] on its scale, directly or by a stretched sigmoid."""

    feeds = ("value", "physical", "level_value")
    default_loss = "l1"  # the reported error
    num_outputs = 1

    def __init__(self, spec: ParameterSpec, config: HeadConfig):
        super().__init__(spec, config)
        if self.loss_kind == "physical" and getattr(self.loss_function, "span", None) is None:
            raise ValueError("losses: their param_range differ; give the same to all, or to none")

    def initial_bias(self) -> Tensor:
        return middle_of_range(self.config, self.num_outputs)

    def feed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        unit = unit_value(raw[:, 0], self.config)
        if self.loss_kind == "value":
            return unit, target
        spec, predicted, true = self.spec, to_physical(self.spec, unit), to_physical(self.spec, target)
        if self.loss_kind == "physical":  # linear fractions; the target in the unit of the loss's param_range
            fractions = [(values - spec.min) / (spec.max - spec.min) for values in (predicted, true)]
            loss: Any = self.loss_function
            return fractions[0], loss.low + loss.span * fractions[1]
        return class_position(spec, predicted), to_class(spec, true)

    def value(self, raw: Tensor) -> Tensor:
        return to_physical(self.spec, into_range(unit_value(raw[:, 0], self.config)))

    def score(self, raw: Tensor, explained: Tensor) -> Tensor:
        return unit_value(raw[:, 0], self.config)


class LevelHead(Head):
    """Logits over levels: the value is their expectation, or for categories the most likely level."""

    feeds = ("levels",)
    default_loss = "cross_entropy"
    grid: Tensor  # the values (K,) that the levels stand for
    unit_grid: Tensor  # the same on [0, 1]
    widths: Tensor  # of the levels, on [0, 1]
    target_means: Tensor  # of soft targets
    target_variances: Tensor

    def __init__(self, spec: ParameterSpec, config: HeadConfig):
        own = None if config.levels == "step" else int(config.levels)
        super().__init__(spec, config, own)
        if own is None:
            grid = from_class(spec, torch.arange(spec.num_classes))
        else:
            grid = to_physical(spec, torch.linspace(0.0, 1.0, own))
        given = config.loss.get("num_classes") if isinstance(config.loss, Mapping) else None
        if given not in (None, len(grid)):
            raise ValueError(f"num_classes: {given} given, but the head has {len(grid)} levels; leave it out")
        self.register_buffer("grid", grid, persistent=False)
        self.register_buffer("unit_grid", to_unit(spec, grid), persistent=False)
        self.register_buffer("widths", torch.gradient(self.unit_grid)[0], persistent=False)
        self.is_soft = isinstance(self.loss_function, SoftTargetLoss)
        if isinstance(self.loss_function, SoftTargetLoss):
            targets = self.loss_function.table
            means = targets @ grid
            variances = (targets * (self.unit_grid - to_unit(spec, means)[:, None]).square()).sum(dim=1)
            self.register_buffer("target_means", means, persistent=False)
            self.register_buffer("target_variances", variances, persistent=False)
        self.on_steps = own is None
        self.nominal = config.kind == "categorical" or spec.kind == "categorical"

    @property
    def num_outputs(self) -> int:
        return len(self.grid)

    @property
    def takes_mixes(self) -> bool:
        by_expectation = isinstance(self.loss_function, OrdinalRegressionLoss)
        return not (self.compound or by_expectation)  # the terms of a compound loss are means of batches

    def feed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if self.on_steps:
            return raw, to_class(self.spec, to_physical(self.spec, target))
        return raw, (target * (len(self.grid) - 1) + 0.5).floor().clamp(0, len(self.grid) - 1).long()

    def value(self, raw: Tensor) -> Tensor:
        probabilities = self.distribution(raw)
        if self.nominal:
            return self.grid[probabilities.argmax(dim=1)]
        # only the evidence, without the prior of each level
        belief = getattr(self.loss_function, "belief", None)
        mean = (belief(raw) if belief else probabilities) @ self.grid
        if self.is_soft:  # the soft target of a level at an end of the range has its mean further inside
            return _interpolate(mean, self.target_means, self.grid)
        return mean

    def score(self, raw: Tensor, explained: Tensor) -> Tensor:
        if not self.nominal:
            return super().score(raw, explained)
        has_logits = self.num_outputs == len(self.grid)  # heads of thresholds have fewer outputs
        return (raw if has_logits else self.distribution(raw))[:, self.distribution(explained)[0].argmax()]

    def level(self, raw: Tensor) -> Tensor:
        level = self.distribution(raw).argmax(dim=1)
        return level if self.on_steps else to_class(self.spec, self.grid[level])

    def distribution(self, raw: Tensor) -> Tensor:
        reading = getattr(self.loss_function, "distribution", None)  # evidential logits are not softmax logits
        if reading:
            return reading(raw)
        probabilities = raw.softmax(dim=1)
        smoothing = getattr(self.loss_function, "label_smoothing", 0.0)
        if not smoothing:
            return probabilities
        own = (probabilities - smoothing / len(self.grid)).clamp_min(0.0)  # the rest is label smoothing
        return own / own.sum(dim=1, keepdim=True)

    def spread(self, raw: Tensor) -> Tensor | None:
        """Return the standard deviation (B,) over the levels, on [0, 1], without the width of soft targets."""
        if self.nominal:
            return None
        probabilities = self.distribution(raw)
        centre = probabilities @ self.grid if self.is_soft else self.value(raw)
        distances = (self.unit_grid - to_unit(self.spec, centre)[:, None]).square()
        variance = (probabilities * distances).sum(dim=1)
        if self.is_soft:
            variance = (variance - _interpolate(centre, self.target_means, self.target_variances)).clamp_min(0.0)
        return variance.sqrt()

    def width(self, raw: Tensor) -> Tensor:
        return self.distribution(raw) @ self.widths


def _interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Evaluate the piecewise linear function through (knots, values), both (K,) with rising knots, at x (B,).

    Outside the knots it is constant.
    """
    right = (x[:, None] > knots).sum(dim=1).clamp(1, len(knots) - 1)
    share = (x - knots[right - 1]) / (knots[right] - knots[right - 1])
    return torch.lerp(values[right - 1], values[right], share.clamp(0.0, 1.0))


class OrdinalHead(LevelHead):
    """Logits over levels, trained by the error of their expectation; the level is the nearest to the expectation."""

    default_loss = "ordinal_regression"
    takes_mixes = False

    def level(self, raw: Tensor) -> Tensor:
        return to_class(self.spec, self.value(raw))


class CoralHead(OrdinalHead):
    """Logits of "above level k" that share one score and differ by their thresholds: rank consistent.

    Source: Cao, Mirjalili, Raschka, Rank consistent ordinal regression, arXiv 1901.07884.
    """

    feeds = ("thresholds",)
    default_loss = "coral"
    num_outputs = 1

    def __init__(self, spec: ParameterSpec, config: HeadConfig):
        super().__init__(spec, config)
        # uniform levels: P(above k) = 1 - (k + 1) / K
        above = 1.0 - torch.arange(1, len(self.grid)) / len(self.grid)
        self.thresholds = nn.Parameter(above.logit())

    def feed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return super().feed(raw + self.thresholds, target)

    def distribution(self, raw: Tensor) -> Tensor:
        return coral_distribution(raw + self.thresholds)


class CornHead(OrdinalHead):
    """Logits of "above level k, given above k - 1", one for each threshold.

    Source: Shi, Cao, Raschka, Deep neural networks for rank-consistent ordinal regression, arXiv 2111.08851.
    """

    feeds = ("conditional_thresholds",)
    default_loss = "corn"

    @property
    def num_outputs(self) -> int:
        return len(self.grid) - 1

    def distribution(self, raw: Tensor) -> Tensor:
        return corn_distribution(raw)
