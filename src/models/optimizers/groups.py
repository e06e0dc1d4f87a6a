"""Weight decay and learning rates of parameter groups."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from src.utils.errors import UserError


def parameter_groups(
    model: nn.Module,
    lr: float | None,
    lr_multipliers: Mapping[str, float] | None = None,
    decaying: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Return an optimizer's groups: only the weights of layers decay, see `layer_weights`.

    `decaying` are the names of those weights, determined before fsdp flattens all parameters. `lr_multipliers` maps
    patterns of parameter names, as in {"network.*": 0.1}, to factors of `lr`; the last matching pattern counts. Raises
    UserError for a pattern that matches nothing.
    """
    lr_multipliers = lr_multipliers or {}
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    for pattern, factor in lr_multipliers.items():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"model.lr_multipliers: '{pattern}' matches no parameter; names are like {names[0]}")
        if not factor >= 0:
            raise UserError(f"model.lr_multipliers: {pattern}: {factor} given; give a factor of at least 0")
    if lr is None:
        if lr_multipliers:
            raise UserError("model.lr_multipliers: needs a rate to multiply; give model.optimizer.lr")
        lr = 0.0  # not used
    decaying = layer_weights(model) if decaying is None else decaying
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            matching = [factor for pattern, factor in lr_multipliers.items() if fnmatchcase(name, pattern)]
            key = (matching[-1] if matching else 1.0, name in decaying)
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters}
        | ({} if decays else {"weight_decay": 0.0})
        | ({"lr": lr * factor} if factor != 1.0 else {})
        for (factor, decays), parameters in groups.items()
    ]


def layer_weights(model: nn.Module) -> frozenset[str]:
    """Return the names of a whole model's matrices and kernels."""
    return frozenset(name for name, parameter in model.named_parameters() if is_layer_weight(name, parameter))


def is_layer_weight(name: str, parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a layer's matrix or kernel, not a bias, norm, token or position."""
    return parameter.ndim > 1 and "weight" in name.rpartition(".")[2]
