"""Validation of the list of a WeightedMultiLoss, and weights that follow a schedule."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from src.models.losses.base import Loss
from src.models.losses.factory import create_loss_function
from src.models.losses.locate import loss_names
from src.models.losses.module_loss import ModuleLoss
from src.utils.errors import did_you_mean, printable, shown

_KEYS = ("loss", "weight", "name")
_SCHEDULE_KEYS = ("start", "end", "steps", "shape")
_SHAPES = ("linear", "cosine", "exponential")
_RESERVED = ("total", "weighted", "raw")


def validate_entries(
    losses: Any, context: Mapping[str, Any] | None
) -> tuple[list[Loss], list[float | dict[str, Any]], list[str]]:
    """Return losses, weights and names; a ValueError lists all faults."""
    if not isinstance(losses, Sequence) or isinstance(losses, str) or not losses:
        raise ValueError(f"losses: {shown(losses)} given; give a list of at least one {{loss, weight, name}}")
    faults, built, weights, names = [], [], [], []
    for at, entry in enumerate(losses):
        where = f"losses[{at}]"
        if not isinstance(entry, Mapping):
            faults.append(f"{where}: {shown(entry)} given; give a mapping of {', '.join(_KEYS)}")
            continue
        for key in set(entry) - set(_KEYS):
            faults.append(f"{where}: unknown key '{printable(str(key))}'.{did_you_mean(str(key), _KEYS)}")
        weights.append(entry.get("weight", 1.0))
        faults += [f"{where}.weight: {fault}" for fault in _weight_faults(weights[-1])]
        try:
            if "loss" not in entry:
                faults.append(f"{where}: no 'loss' given")
            else:
                built.append(create_loss_function(entry["loss"], context))
                entry = {"name": _short_name(entry["loss"], built[-1]), **entry}
                if built[-1].reduction != "mean":
                    faults.append(f"{where}.loss: reduction {built[-1].reduction} given; give it to the sum")
        except ValueError as error:
            faults.append(f"{where}.loss: {error}")
        if "name" in entry:
            names.append(entry["name"])
            faults += [f"{where}.name: {fault}" for fault in _name_faults(names[-1], names[:-1])]
    if not faults and not any(weights):
        faults.append("losses: all weights are 0, so nothing would be trained; give a weight above 0")
    if faults:
        raise ValueError("; ".join(faults))
    return built, weights, names


def _short_name(config: Any, loss: Loss) -> str:
    """Return the default name of a term: the short name in configs, or the class name of another module."""
    if isinstance(config, Mapping):
        config = config.get("_target_", config.get("class_path"))
    if isinstance(config, str) and config in loss_names():
        return config  # l1 and l2 are names for the same class
    if type(loss) is ModuleLoss:
        return loss.label
    return next(name for name, loss_class in Loss.registry.items() if loss_class is type(loss))


def _weight_faults(weight: Any) -> list[str]:
    if not isinstance(weight, Mapping):
        return [] if _is_weight(weight) else [f"{shown(weight)} given; give a finite number >= 0, or a schedule"]
    faults = [
        f"unknown key '{printable(str(key))}'.{did_you_mean(str(key), _SCHEDULE_KEYS)}"
        for key in set(weight) - set(_SCHEDULE_KEYS)
    ]
    faults += [f"{shown(weight.get(key))} given as {key}; give a finite number >= 0" for key in ("start", "end")
               if not _is_weight(weight.get(key))]  # fmt: skip
    steps, shape = weight.get("steps"), weight.get("shape", "linear")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        faults.append(f"{shown(steps)} given as steps; give a whole number of training batches >= 1")
    if shape not in _SHAPES:
        faults.append(f"{shown(shape)} given as shape; give one of {', '.join(_SHAPES)}")
    elif shape == "exponential" and not faults and not (weight["start"] and weight["end"]):
        faults.append("an exponential schedule needs start and end above 0")
    return faults


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _name_faults(name: Any, earlier: list[str]) -> list[str]:
    if not isinstance(name, str) or not name:
        return [f"{shown(name)} given; give a word"]
    if "/" in name or name in _RESERVED:
        return [f"{shown(name)} is reserved; give a name without '/' other than {', '.join(_RESERVED)}"]
    return [f"{shown(name)} is given twice; give each loss its own name"] if name in earlier else []


def weight_at(weight: float | Mapping[str, Any], step: int) -> float:
    """Return a weight, or the value of its schedule at a training step."""
    if not isinstance(weight, Mapping):
        return float(weight)
    start, end, progress = weight["start"], weight["end"], min(1.0, step / weight["steps"])
    shape = weight.get("shape", "linear")
    if shape == "exponential":
        return start * (end / start) ** progress
    if shape == "cosine":
        progress = 0.5 - 0.5 * math.cos(math.pi * progress)
    return start + (end - start) * progress
