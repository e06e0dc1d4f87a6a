"""Find the class that a name in a loss config means, and build an object of it; never a silent default."""

import importlib
import importlib.util
import inspect
import traceback
from collections.abc import Mapping
from typing import Any, get_type_hints

import torch
from torch import nn

from src.models.losses import known_modules
from src.models.losses.base import Loss
from src.utils.errors import did_you_mean, printable

SHORTHANDS = {"l1": {"p": 1}, "l2": {"p": 2}}  # of distance
_OURS = "src.models.losses"
_MOVED = {  # paths in configs of earlier projects
    "nablafx.loss.WeightedMultiLoss": "weighted_multi",
    "src.models.soft_target_loss.SoftTargetLoss": "soft_target",
}
# the exceptions of a class that refuses its arguments, and of a module that cannot be imported
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def loss_names() -> list[str]:
    """Return every short name of this project's own losses."""
    return sorted([*Loss.registry, *SHORTHANDS])


def is_loss_name(name: str) -> bool:
    """Return whether a name without dots is a loss of this project, torch.nn or auraloss."""
    return "." not in name and "." in full_path(name)


def full_path(name: str) -> str:
    """Return the dotted path that a name in a loss config means, without an import; unknown names are unchanged."""
    name = _MOVED.get(name, name)
    prefix, _, last = name.rpartition(".")
    if name in SHORTHANDS:
        return full_path("distance")
    own = Loss.registry.get(name)
    if own is None and (not prefix or f"{prefix}.".startswith(f"{_OURS}.")):  # in whichever module of this package
        own = next((found for found in Loss.registry.values() if found.__name__ == last), None)
    if own is not None:
        return f"{own.__module__}.{own.__qualname__}"
    return (known_modules.dotted_path(name) or name) if not prefix else name


def find(target: str) -> type[nn.Module] | nn.Module:
    """Return the class, or the existing module object, of a short name, a class name or a dotted path."""
    path = full_path(target)
    for own in Loss.registry.values():
        if f"{own.__module__}.{own.__qualname__}" == path:
            return own
    prefix, _, name = path.rpartition(".")
    quoted = printable(target, 200)
    unknown = f"Unknown loss function target: {quoted}."
    advice = _advice(printable(name), dotted=bool(prefix))
    if prefix in ("", _OURS):
        raise ValueError(unknown + advice)
    if path.startswith("auraloss.") and importlib.util.find_spec("auraloss") is None:
        raise ValueError(f"{quoted}: auraloss is not installed; install it with: uv pip install auraloss")
    try:
        found = _imported(path)
    except LookupError as error:
        raise ValueError(f"{unknown}{advice} ({error})") from error
    except FAULTS as error:
        raise ValueError(f"{quoted}: its module cannot be imported: {error_text(error)}") from error
    if isinstance(found, nn.Module) or (inspect.isclass(found) and issubclass(found, nn.Module) and found is not Loss):
        return found
    raise ValueError(f"{unknown} It is not a torch.nn.Module class; subclass {_OURS}.Loss, or torch.nn.Module")


def _advice(name: str, dotted: bool) -> str:
    classes = {found.__name__ for found in Loss.registry.values()}
    nearest = did_you_mean(name, classes if dotted else {*loss_names(), *classes})
    return nearest if nearest.startswith(" Did") else did_you_mean(name, loss_names())


def build(found: type[nn.Module], name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return an object of a class; raise ValueError, with its name in the config, for arguments that it refuses."""
    try:
        if found.__module__.startswith("auraloss."):
            known_modules.check_auraloss(found.__name__, arguments)
        return found(**{key: _as_hinted(value, _hints(found).get(key)) for key, value in arguments.items()})
    except FAULTS as error:
        raise ValueError(f"{name}: {error_text(error)}") from error


def error_text(error: Exception) -> str:
    """Return the message of an error on one line, or the line of code that raised it if there is no message."""
    text = " ".join(str(error).split()) or traceback.extract_tb(error.__traceback__)[-1].line or ""
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def _imported(path: str) -> Any:
    """Return the object at a dotted path; raise LookupError if there is none, and any error of an import."""
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        raise LookupError("it is not a dotted path")
    module, loaded = None, 0
    for count in range(1, len(parts)):
        name = ".".join(parts[:count])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:  # a module that it imports is missing, not the module itself
                raise
            break
        loaded = count
    if module is None:
        raise LookupError(f"there is no module {parts[0]}")
    found = module
    for at in range(loaded, len(parts)):
        if not hasattr(found, parts[at]):
            raise LookupError(f"{'.'.join(parts[:at])} has no {parts[at]}")
        found = getattr(found, parts[at])
    return found


def _hints(found: type[nn.Module]) -> dict[str, Any]:
    try:
        return get_type_hints(found.__init__)
    except (NameError, TypeError, AttributeError):  # names that only a type checker imports
        return {}


def _as_hinted(value: Any, hint: Any) -> Any:
    """Return a list of numbers as a tensor if the signature needs one, such as class weights."""
    if isinstance(value, list) and "Tensor" in str(hint):
        return torch.tensor(value, dtype=torch.float32)
    return value
