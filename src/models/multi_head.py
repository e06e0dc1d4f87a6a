"""All heads of a dataset behind one linear layer."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from src.data.recipe import describe
from src.models.distribution_heads import EvidentialHead, GaussianHead, MixtureHead
from src.models.heads import CoralHead, CornHead, Head, HeadConfig, LevelHead, OrdinalHead, RegressionHead
from src.models.losses import WeightedMultiLoss
from src.models.losses.balance import make_balance
from src.synth.parameters import ParameterSpace, ParameterSpec
from src.utils.errors import UserError, did_you_mean

_KINDS = {
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
    """Turn a method's half-precision outputs into float32, and autocast off, which would round products of them."""

    @functools.wraps(method)
    def wrapped(self: "MultiHead", outputs: Mapping[str, Tensor], *rest: Tensor) -> Any:
        with torch.autocast(self.weights.device.type, enabled=False):
            return method(self, {name: _wide(raw) for name, raw in outputs.items()}, *rest)

    return wrapped


def _wide(raw: Tensor) -> Tensor:
    return raw.float() if raw.dtype.itemsize < 4 else raw


class MultiHead(nn.Module):
    """One linear layer, so that a step pays for one product only; its outputs are split over the heads.

    `balance` says what the heads' weights mean: see src.models.losses.balance.
    """

    def __init__(
        self, feature_dim: int, space: ParameterSpace, configs: Mapping[str, HeadConfig], balance: str = "weights"
    ):
        super().__init__()
        self.space = space
        self._heads = nn.ModuleList(_make_head(spec, configs[spec.name]) for spec in space)
        self.sizes = [head.num_outputs for head in self._heads]
        self.linear = nn.Linear(feature_dim, sum(self.sizes))
        with torch.no_grad():
            self.linear.bias.add_(torch.cat([head.initial_bias() for head in self._heads]))
        weights = torch.tensor([configs[name].weight for name in space.names])
        self.register_buffer("weights", weights, persistent=False)
        try:
            self.balance = make_balance(balance, [head.loss_function for head in self._heads])
        except ValueError as error:
            raise UserError(f"model.{error}") from error
        # RMS error of the last validation: all that a head without a distribution can say of its doubts
        self.register_buffer("residuals", torch.full((len(space),), torch.nan))

    @property
    def heads(self) -> dict[str, Head]:
        """The heads by parameter name."""
        return dict(zip(self.space.names, self._heads, strict=True))

    @property
    def term_names(self) -> list[str]:
        """The names of all losses: each head's, and its terms as head/term where it has several."""
        names = list(self.space.names)
        for name, head in self.heads.items():
            if isinstance(head.loss_function, WeightedMultiLoss):
                names += [f"{name}/{term}" for term in head.loss_function.term_names]
        return names

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Map features (B, D) to each head's raw outputs, name -> (B, K)."""
        return dict(zip(self.space.names, self.linear(features).split(self.sizes, dim=1), strict=True))

    @_in_float32
    def losses(self, outputs: Mapping[str, Tensor], target: Tensor) -> tuple[Tensor, Tensor]:
        """Return each head's unweighted loss (P,), and those with the terms of compound ones appended (N,).

        Against targets (B, P) in [0, 1], in float32; the second is in the order of `term_names`, detached.
        """
        results = [head.loss(outputs[name], target[:, at]) for at, (name, head) in enumerate(self.heads.items())]
        losses = torch.stack([loss for loss, _ in results])
        terms = [value.detach() for _, inner in results for value in inner.values()]
        return losses, torch.cat([losses.detach(), torch.stack(terms)]) if terms else losses.detach()

    def total(self, losses: Tensor, features: Tensor) -> Tensor:
        """Return the weighted sum of losses (P,) that depend on features (B, D)."""
        factors, offsets = self.balance(losses, self.weights, features)
        terms = torch.where(self.weights > 0, factors * losses + offsets, 0.0)  # an untrained head may be NaN
        return terms.sum()  # no product of vectors, which autocast would round

    @_in_float32
    def values(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return predictions (B, P) in physical units, float32."""
        return torch.stack([head.value(outputs[name]) for name, head in self.heads.items()], dim=1)

    @_in_float32
    def levels(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return predicted classes (B, P) int64."""
        return torch.stack([head.level(outputs[name]) for name, head in self.heads.items()], dim=1)

    @_in_float32
    def distributions(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
        """Return each head's probabilities of its levels, name -> (B, K), None where it has none."""
        return {name: head.distribution(outputs[name]) for name, head in self.heads.items()}

    @_in_float32
    def uncertainties(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return standard deviations (B, P) in physical units; a category's is how likely it is wrong.

        A head without a distribution answers with its RMS error at the last validation, NaN before that.
        """
        columns = []
        for at, (name, head) in enumerate(self.heads.items()):
            own = head.uncertainty(outputs[name])
            columns.append(self.residuals[at].expand(len(outputs[name])) if own is None else own)
        return torch.stack(columns, dim=1)


def _make_head(spec: ParameterSpec, config: HeadConfig) -> Head:
    kind = GaussianHead if config.variance else _KINDS[config.kind]
    try:
        head = kind(spec, config)
        head.try_loss()
        return head
    except ValueError as error:
        raise UserError(f"model.heads.{spec.name}.loss: {error}") from error


def head_configs(space: ParameterSpace, config: Mapping[str, Any]) -> dict[str, HeadConfig]:
    """Return a config per head from {default: {...}, <parameter>: {...}}; UserError names the key.

    A head that names a kind of its own takes nothing but the weight from the default. Categories, which
    have no order to regress on, are categorical unless told otherwise.
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
    if not any(one.weight for one in configs.values()):
        raise UserError("model.heads: every weight is 0, so nothing would be trained; give one above 0")
    return configs
