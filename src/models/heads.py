"""Heads: features to one answer per parameter, each in the parameter's own unit."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from src.data.recipe import describe
from src.synth.parameters import ParameterSpace, ParameterSpec
from src.utils.errors import UserError, did_you_mean

_STRETCH = 0.1  # of the range, beyond either end


class HeadConfig(BaseModel):
    """How one parameter is predicted and how much its loss weighs."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Literal["classification", "regression"] = "regression"
    loss: Literal["l1", "l2", "huber"] = "l1"  # regression, on [0, 1]
    huber_delta: float = Field(0.02, gt=0)  # in shares of the range
    label_smoothing: float = Field(0.0, ge=0, lt=1)  # classification
    weight: float = Field(1.0, ge=0)


def to_physical(spec: ParameterSpec, unit: Tensor) -> Tensor:
    """Map [0, 1] on a parameter's scale to its physical values, any shape, differentiable."""
    if spec.scale == "log":
        return spec.min * torch.exp(unit * math.log(spec.max / spec.min))
    return spec.min + unit * (spec.max - spec.min)


def to_class(spec: ParameterSpec, values: Tensor) -> Tensor:
    """Return the nearest class of physical values, int64: class k stands for min + k * step."""
    return ((values - spec.min) / spec.step + 0.5).floor().clamp(0, spec.num_classes - 1).long()


class RegressionHead:
    """One output: the parameter in [0, 1] on its scale, a sigmoid stretched a little beyond both ends.

    A plain sigmoid reaches 0 and 1 at infinity only, so that predictions bend away from the ends of
    the range; this one crosses them, and the value is clamped.
    """

    num_outputs = 1

    def __init__(self, spec: ParameterSpec, config: HeadConfig):
        self.spec, self.config = spec, config

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of logits (B, 1) against targets (B,) in [0, 1]."""
        unit = self._unit(raw)
        if self.config.loss == "l1":
            return functional.l1_loss(unit, target)
        if self.config.loss == "l2":
            return functional.mse_loss(unit, target)
        return functional.huber_loss(unit, target, delta=self.config.huber_delta) / self.config.huber_delta

    def value(self, raw: Tensor) -> Tensor:
        """Return physical values (B,)."""
        return to_physical(self.spec, self._unit(raw).clamp(0.0, 1.0))

    def _unit(self, raw: Tensor) -> Tensor:
        return (1.0 + 2.0 * _STRETCH) * raw.squeeze(1).sigmoid() - _STRETCH

    def level(self, raw: Tensor) -> Tensor:
        """Return the class (B,) int64 nearest to the value."""
        return to_class(self.spec, self.value(raw))


class ClassificationHead:
    """Logits over the step grid."""

    def __init__(self, spec: ParameterSpec, config: HeadConfig):
        self.spec, self.config = spec, config
        self.num_outputs = spec.num_classes

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross entropy of logits (B, K) against targets (B,) in [0, 1]."""
        classes = to_class(self.spec, to_physical(self.spec, target))
        return functional.cross_entropy(raw, classes, label_smoothing=self.config.label_smoothing)

    def value(self, raw: Tensor) -> Tensor:
        """Return physical values (B,): the expectation over the grid, or a category's most likely one."""
        grid = self.spec.min + self.spec.step * torch.arange(self.num_outputs, device=raw.device, dtype=raw.dtype)
        grid = grid.clamp_max(self.spec.max)
        if self.spec.kind == "categorical":
            return grid[raw.argmax(dim=1)]
        return raw.softmax(dim=1) @ grid

    def level(self, raw: Tensor) -> Tensor:
        """Return the most likely class (B,) int64."""
        return raw.argmax(dim=1)


_KINDS = {"regression": RegressionHead, "classification": ClassificationHead}


class MultiHead(nn.Module):
    """All heads of a dataset behind one linear layer, so that a step pays for one product only."""

    def __init__(self, feature_dim: int, space: ParameterSpace, configs: Mapping[str, HeadConfig]):
        super().__init__()
        self.space = space
        self.heads = {spec.name: _KINDS[configs[spec.name].kind](spec, configs[spec.name]) for spec in space}
        self.sizes = [head.num_outputs for head in self.heads.values()]
        self.linear = nn.Linear(feature_dim, sum(self.sizes))
        weights = torch.tensor([configs[name].weight for name in space.names])
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Map features (B, D) to each head's raw outputs, name -> (B, K)."""
        return dict(zip(self.heads, self.linear(features).split(self.sizes, dim=1), strict=True))

    def losses(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        """Return each head's loss (P,), unweighted, against targets (B, P) in [0, 1]; in float32."""
        pairs = enumerate(self.heads.items())
        return torch.stack([head.loss(outputs[name].float(), target[:, at]) for at, (name, head) in pairs])

    def values(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return predictions (B, P) in physical units, float32."""
        return torch.stack([head.value(outputs[name].float()) for name, head in self.heads.items()], dim=1)

    def levels(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return predicted classes (B, P) int64."""
        return torch.stack([head.level(outputs[name].float()) for name, head in self.heads.items()], dim=1)


def head_configs(space: ParameterSpace, config: Mapping[str, Any]) -> dict[str, HeadConfig]:
    """Return a config per head from {default: {...}, <parameter>: {...}}; UserError names the key."""
    default = dict(config.get("default") or {})
    for name in config:
        if name != "default" and name not in space.names:
            raise UserError(f"model.heads.{name}: no such head.{did_you_mean(name, space.names)}")
    configs = {}
    for spec in space:
        given = default | dict(config.get(spec.name) or {})
        if spec.kind == "categorical" and "kind" not in dict(config.get(spec.name) or {}):
            given["kind"] = "classification"  # categories have no order to regress on
        try:
            configs[spec.name] = HeadConfig.model_validate(given)
        except ValidationError as error:
            raise UserError(f"model.heads.{spec.name}: {describe(error)}") from error
    if not any(one.weight for one in configs.values()):
        raise UserError("model.heads: every weight is 0, so nothing would be trained; give one above 0")
    return configs
