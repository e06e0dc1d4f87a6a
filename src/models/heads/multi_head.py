"""All heads of a dataset behind one linear layer."""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from src.models.heads.calibration import TEMPERATURES, Calibration, probability_of_error, temperature_costs, tempered
from src.models.heads.distribution import EvidentialHead, GaussianHead, MixtureHead
from src.models.heads.head import (
    CoralHead,
    CornHead,
    Head,
    HeadConfig,
    LevelHead,
    OrdinalHead,
    RegressionHead,
)
from src.models.losses import WeightedMultiLoss
from src.models.losses.combine.balance import make_balance
from src.parameters.codec import physical_per_unit, to_physical, to_unit
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError, did_you_mean
from src.utils.invalid import describe

log = logging.getLogger(__name__)

HEAD_KINDS = {
    "regression": RegressionHead,
    "classification": LevelHead,
    "categorical": LevelHead,
    "ordinal": OrdinalHead,
    "coral": CoralHead,
    "corn": CornHead,
    "mixture": MixtureHead,
    "evidential": EvidentialHead,
}


def _in_float32(method: Callable) -> Callable:
    """Make a method compute in float32: half-precision outputs are converted, and autocast is off."""

    @functools.wraps(method)
    def wrapped(self: "MultiHead", outputs: Mapping[str, Tensor], *rest: Any) -> Any:
        with torch.autocast(self.weights.device.type, enabled=False):
            return method(self, {name: _to_float32(raw) for name, raw in outputs.items()}, *rest)

    return wrapped


def _to_float32(raw: Tensor) -> Tensor:
    return raw.float() if raw.dtype.itemsize < 4 else raw


class Estimates(NamedTuple):
    """A model's predictions for sounds: all (B, P), in physical units.

    `uncertainties` are standard uncertainties: the true value is within 1 uncertainty in about 68 % of the cases and
    within 1.645 in about 90 %. The uncertainty of a regression head is a typical error, the same for every sound; that
    of a category is the probability that it is wrong, and its intervals are NaN. The intervals, [low, high] within the
    range of the parameter, contain the true value in 68 and 90 % of the cases. Both are fitted to the validation split;
    `MultiHead.calibration.samples` is 0 if they are not.
    """

    values: Any  # tensors; arrays in src.evaluation.predict
    uncertainties: Any
    low_68: Any
    high_68: Any
    low_90: Any
    high_90: Any


class MultiHead(nn.Module):
    """One linear layer for all heads, so that a step computes one product; its outputs are split between the heads.

    `balance` determines the meaning of the heads' weights: see src.models.losses.combine.balance.
    """

    weights: Tensor  # of the heads' losses, (P,)

    def __init__(
        self, feature_dim: int, space: ParameterSpace, configs: Mapping[str, HeadConfig], balance: str = "weights"
    ):
        super().__init__()
        self.space = space
        heads = [_make_head(spec, configs[spec.name]) for spec in space]
        self._heads = nn.ModuleList(heads)
        self.sizes = [head.num_outputs for head in heads]
        self.linear = nn.Linear(feature_dim, sum(self.sizes))
        with torch.no_grad():
            self.linear.bias.add_(torch.cat([head.initial_bias() for head in heads]))
        weights = torch.tensor([configs[name].weight for name in space.names])
        self.register_buffer("weights", weights, persistent=False)
        try:
            self.balance = make_balance(balance, [head.loss_function for head in heads])
        except ValueError as error:
            raise UserError(f"model.{error}") from error
        self.calibration = self._new_calibration()
        self.register_load_state_dict_pre_hook(_complete_old_state)

    def _new_calibration(self) -> Calibration:
        return Calibration(torch.tensor([isinstance(head, RegressionHead) for head in self._heads]))

    @property
    def heads(self) -> dict[str, Head]:
        """The heads by parameter name."""
        return {head.spec.name: head for head in self._heads if isinstance(head, Head)}

    @property
    def typical(self) -> list[str]:
        """The names of the parameters whose uncertainty is a typical error, the same for every sound."""
        return [name for name, head in self.heads.items() if isinstance(head, RegressionHead)]

    @property
    def term_names(self) -> list[str]:
        """The names of all losses: one for each head, then one for each term of compound losses, as head/term."""
        names = list(self.space.names)
        for name, head in self.heads.items():
            if isinstance(head.loss_function, WeightedMultiLoss):
                names += [f"{name}/{term}" for term in head.loss_function.term_names]
        return names

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Map features (B, D) to each head's raw outputs, name -> (B, K)."""
        return dict(zip(self.space.names, self.linear(features).split(self.sizes, dim=1), strict=True))

    @_in_float32
    def losses(
        self, outputs: Mapping[str, Tensor], target: Tensor, mixed: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return each head's unweighted loss (P,), and all losses and terms (N,) in the order of `term_names`.

        Targets are (B, P) in [0, 1]. Both are float32; the second is detached. Of mixed images, `mixed` holds the other
        targets (B, P), and the shares (B,) of the targets themselves; it changes the loss of heads that take mixes.
        """
        results: list[tuple[Tensor, dict[str, Tensor]]] = []
        for at, (name, head) in enumerate(self.heads.items()):
            if mixed is not None and head.takes_mixes:
                other, share = mixed
                results.append((head.mixed_loss(outputs[name], target[:, at], other[:, at], share), {}))
            else:
                results.append(head.loss(outputs[name], target[:, at]))
        losses = torch.stack([loss for loss, _ in results])
        terms = [value.detach() for _, inner in results for value in inner.values()]
        return losses, torch.cat([losses.detach(), torch.stack(terms)]) if terms else losses.detach()

    def total(self, losses: Tensor, features: Tensor) -> Tensor:
        """Return the weighted sum of losses (P,) that depend on features (B, D)."""
        factors, offsets = self.balance(losses, self.weights, features)
        terms = torch.where(self.weights > 0, factors * losses + offsets, 0.0)  # an untrained head may be NaN
        return terms.sum()  # not a product of vectors, which autocast would round

    @_in_float32
    def values(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return predictions (B, P) in physical units, float32."""
        return torch.stack([head.value(outputs[name]) for name, head in self.heads.items()], dim=1)

    @_in_float32
    def levels(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return predicted classes (B, P) int64."""
        return torch.stack([head.level(outputs[name]) for name, head in self.heads.items()], dim=1)

    @_in_float32
    def probabilities(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the calibrated probabilities (B, K) of each categorical parameter's categories."""
        found = {}
        for at, (name, head) in enumerate(self.heads.items()):
            if head.nominal:
                distribution = cast(Tensor, head.distribution(outputs[name]))  # categories have one
                if distribution.shape[1] != head.spec.num_classes:  # levels of its own
                    continue
                found[name] = tempered(distribution, self.calibration.temperature[at])
        return found

    @_in_float32
    def energies(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the energies (B,) of each head that predicts levels by a softmax: -log sum exp of its logits.

        Source: Liu, Wang, Owens & Li, Energy-based Out-of-distribution Detection, arXiv 2010.03759.
        """
        found = {}
        for name, head in self.heads.items():
            if isinstance(head, LevelHead) and "levels" in head.feeds:
                found[name] = -outputs[name].logsumexp(dim=1)
        return found

    @_in_float32
    def estimates(self, outputs: Mapping[str, Tensor]) -> Estimates:
        """Return values, uncertainties and intervals, calibrated by the last validation."""
        deviations = self.calibration.deviation(*self._spreads(outputs))
        columns = []
        for at, (name, head) in enumerate(self.heads.items()):
            value = head.value(outputs[name])
            if head.nominal:
                probabilities = cast(Tensor, head.distribution(outputs[name]))  # categories have one
                wrong = probability_of_error(probabilities, self.calibration.temperature[at])
                columns.append([value, wrong, *[torch.full_like(value, torch.nan)] * 4])
                continue
            deviation, unit = deviations[:, at], to_unit(head.spec, value)
            uncertainty = physical_per_unit(head.spec, value) * self.calibration.scale[at] * deviation
            intervals = []
            for half_width in (self.calibration.factors[at] * deviation[:, None]).unbind(dim=1):
                intervals += [unit - half_width, unit + half_width]
            columns.append([value, uncertainty, *(to_physical(head.spec, end.clamp(0.0, 1.0)) for end in intervals)])
        return Estimates(*(torch.stack(field, dim=1) for field in zip(*columns, strict=True)))

    @_in_float32
    def measure(self, outputs: Mapping[str, Tensor], target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return a batch's arguments of src.models.heads.calibration.Errors, for targets (B, P) in [0, 1]."""
        errors, costs = [], []
        for at, (name, head) in enumerate(self.heads.items()):
            raw = outputs[name]
            errors.append(to_unit(head.spec, head.value(raw)) - target[:, at])
            if head.nominal:
                _, level = head.feed(raw, target[:, at])
                costs.append(temperature_costs(cast(Tensor, head.distribution(raw)), level))
            else:
                costs.append(target.new_zeros(len(TEMPERATURES)))
        return torch.stack(errors, dim=1), *self._spreads(outputs), torch.stack(costs)

    def _spreads(self, outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return each head's spread (0 if it has none) and width, (B, P) each, on the unit scale."""
        spreads, widths = [], []
        for name, head in self.heads.items():
            spread, width = head.spread(outputs[name]), head.width(outputs[name])
            spreads.append(torch.zeros_like(width) if spread is None else spread)
            widths.append(width)
        return torch.stack(spreads, dim=1), torch.stack(widths, dim=1)


def _complete_old_state(module: MultiHead, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Add the calibration, or its power of the spread, to the state of a checkpoint that was made before it existed.

    Such a state holds each head's RMS error at its last validation, in physical units: the deviation of a head without
    a spread. Other heads keep the defaults.
    """
    if f"{prefix}calibration.samples" in state:
        power = module.calibration.spread_power  # later than the rest of the calibration; before, it was 1
        state.setdefault(f"{prefix}calibration.spread_power", torch.ones_like(power))
        return
    log.warning("the checkpoint is from a version without calibration, so its uncertainties are rough; train again")
    errors = state.pop(f"{prefix}residuals", None)
    calibration = module._new_calibration().state_dict()
    if errors is not None:
        for at, spec in enumerate(module.space):
            if spec.scale == "lin" and isinstance(module.heads[spec.name], RegressionHead):
                steps = errors[at].cpu() * (spec.num_classes - 1) / (spec.max - spec.min)
                calibration["width_weight"][at] = 12.0 * steps.square()
    state.update({f"{prefix}calibration.{name}": value for name, value in calibration.items()})


def _make_head(spec: ParameterSpec, config: HeadConfig) -> Head:
    kind = GaussianHead if config.variance else HEAD_KINDS[config.kind]
    try:
        head = kind(spec, config)
        head.try_loss()
        return head
    except ValueError as error:
        raise UserError(f"model.heads.{spec.name}.loss: {error}") from error


def head_configs(space: ParameterSpace, config: Mapping[str, Any]) -> dict[str, HeadConfig]:
    """Return a config per head from {default: {...}, <parameter>: {...}}; a UserError names the key.

    A head with its own kind takes only the weight from the default. Categories have no order, so their kind is
    categorical unless their own config sets another.
    """
    default = dict(config.get("default") or {})
    for name in config:
        if name != "default" and name not in space.names:
            raise UserError(f"model.heads.{name}: no such head.{did_you_mean(name, space.names)}")
    configs = {}
    for spec in space:
        own = dict(config.get(spec.name) or {})
        if spec.kind == "categorical" and "kind" not in own:
            own["kind"] = "categorical"
        inherited = {key: value for key, value in default.items() if key == "weight" or "kind" not in own}
        try:
            configs[spec.name] = HeadConfig.model_validate(inherited | own)
        except ValidationError as error:
            raise UserError(f"model.heads.{spec.name if own else 'default'}: {describe(error)}") from error
    if not any(head.weight for head in configs.values()):
        raise UserError("model.heads: all weights are 0, so nothing would be trained; give a weight above 0")
    return configs
