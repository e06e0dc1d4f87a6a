"""Build a loss from its config, by short name, class name or dotted path, including nested losses."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from src.models.losses.base import Loss
from src.models.losses.locate import SHORTHANDS, build, find, full_path, loss_names
from src.models.losses.module_loss import ModuleLoss
from src.utils.errors import did_you_mean, printable, shown

_NAMING = ("_target_", "class_path", "loss", "module")  # keys of a config that name a class
_DEEPEST = 48  # levels of nested lists and mappings: 16 weighted sums


def create_loss_function(
    config: str | Mapping[str, Any] | DictConfig | nn.Module | type[nn.Module],
    context: Mapping[str, Any] | None = None,
) -> Loss:
    """Build a loss from {_target_: name, <argument>: ...} or {class_path: name, init_args: {...}}.

    The name is a short name or a class name of this project's losses, a class name of torch.nn or auraloss, or the
    dotted path of any subclass of `torch.nn.Module`; a string is a config without arguments. A loss is returned
    unchanged; any other module becomes a `ModuleLoss`, and the key `takes: levels|value|waveform|maps` next to
    `_target_` or `class_path` states its inputs if they are not known. `context` holds values such as num_classes and
    param_range: a loss of this project with such an argument gets it, unless the config sets it. Raises ValueError with
    the loss's name and arguments.
    """
    module, takes = _build(config, context or {})
    if not isinstance(module, Loss):
        return ModuleLoss(module, takes)
    if takes is not None:
        raise ValueError(
            f"{module.label}: takes: {shown(takes)} given, but its class already declares this; leave it out"
        )
    return module


def named_paths(config: Any) -> set[str]:
    """Return the dotted paths of all classes that a loss config names, at any depth; nothing is imported.

    Names of this project, torch.nn and auraloss are completed to dotted paths; other names are returned unchanged.
    """
    paths = set()
    for key, value, _ in _walk(config):
        if key in _NAMING and isinstance(value, str):
            paths.add(full_path(value))
        elif inspect.isclass(value):
            paths.add(f"{value.__module__}.{value.__qualname__}")
    return paths


def _walk(config: Any) -> Iterator[tuple[str, Any, int]]:
    """Yield every key, value and depth of a config; items of a list have the key of the list."""
    pending = [("loss", config, 0)]
    while pending:
        key, value, depth = pending.pop()
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value, resolve=True)
        yield key, value, depth
        if isinstance(value, Mapping):
            pending += [(str(name), inner, depth + 1) for name, inner in value.items()]
        elif isinstance(value, list | tuple):
            pending += [(key, inner, depth + 1) for inner in value]


def _build(config: Any, context: Mapping[str, Any]) -> tuple[nn.Module, Any]:
    """Return the module that a config describes, and the config's `takes`."""
    if isinstance(config, nn.Module):
        return config, None
    if isinstance(config, DictConfig):
        config = OmegaConf.to_container(config, resolve=True)
    if isinstance(config, str | type):
        config = {"_target_": config}
    if not isinstance(config, Mapping):
        raise ValueError(f"a loss is a name or a mapping, not {shown(config)}; give one of {', '.join(loss_names())}")
    if any(depth > _DEEPEST for _, _, depth in _walk(config)):
        raise ValueError("the config of a loss is nested too deeply; at most 16 nested sums are possible")
    target, given, takes = _parts(config)
    if target in SHORTHANDS:
        target, given = "distance", SHORTHANDS[target] | given
    name = printable(target) if isinstance(target, str) else target.__qualname__
    found = find(target) if isinstance(target, str) else target
    if not inspect.isclass(found):
        if given:
            raise ValueError(f"{name}: it is an object, which takes no arguments; name its class")
        return found, takes
    if takes is not None and issubclass(found, Loss) and "takes" in inspect.signature(found).parameters:
        given, takes = given | {"takes": takes}, None
    return build(found, name, _arguments(name, found, given, context)), takes


def _parts(config: Mapping[str, Any]) -> tuple[str | type[nn.Module], dict[str, Any], Any]:
    """Return the target, its arguments and `takes` from either form of a config."""
    rest = {str(key): value for key, value in config.items()}
    takes = rest.pop("takes", None)
    if "_target_" in rest:
        target, given = rest.pop("_target_"), rest
    elif "class_path" in rest:
        target, given = rest.pop("class_path"), rest.pop("init_args", None) or {}
        if rest:
            raise ValueError(
                f"{printable(str(target))}: no key '{printable(str(next(iter(rest))))}' with class_path; "
                "arguments go into init_args"
            )
        if not isinstance(given, Mapping):
            raise ValueError(f"{printable(str(target))}: init_args: {shown(given)} given; give a mapping of arguments")
    else:
        raise ValueError(f"a loss config needs the key _target_ or class_path; it has {shown(sorted(rest))}")
    if not isinstance(target, str) and not (inspect.isclass(target) and issubclass(target, nn.Module)):
        raise ValueError(
            f"_target_: {shown(target)} given; give a name, a dotted path or a subclass of torch.nn.Module"
        )
    return target, dict(given), takes


def _arguments(
    name: str, found: type[nn.Module], given: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a class's arguments, completed from the context; raise ValueError if any is unknown or missing."""
    own = issubclass(found, Loss)
    parameters = inspect.signature(found).parameters
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    takes = [key for key, parameter in parameters.items() if parameter.kind not in variable]
    open_ended = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    for argument in given:
        if argument not in takes and not open_ended:
            advice = did_you_mean(argument, takes).partition(" Known")[0]
            quoted = printable(str(argument), 80)
            raise ValueError(f"{name}: no argument '{quoted}'.{advice} It takes {', '.join(takes)}.")
    known = {"context": context, **context} if own else context
    arguments = {key: known[key] for key in takes if key in known}
    for argument, value in given.items():
        arguments[argument] = _nested(value, context, parameters.get(argument)) if own else _modules(value, context)
    missing = [key for key in takes if parameters[key].default is inspect.Parameter.empty and key not in arguments]
    if missing:
        raise ValueError(f"{name}: give {', '.join(missing)} as well. It takes {', '.join(takes)}.")
    return arguments


def _nested(value: Any, context: Mapping[str, Any], parameter: inspect.Parameter | None) -> Any:
    """Return an argument of a loss of this project; a config of a loss or a module is built first."""
    annotation = None if parameter is None else parameter.annotation
    if annotation is nn.Module:
        return _build(value, context)[0]
    return create_loss_function(value, context) if annotation is Loss or _is_config(value) else value


def _modules(value: Any, context: Mapping[str, Any]) -> Any:
    """Return an argument of another module, with a module built from each config in it."""
    if _is_config(value):
        return _build(value, context)[0]
    if isinstance(value, Mapping):
        return {key: _modules(inner, context) for key, inner in value.items()}
    return [_modules(inner, context) for inner in value] if isinstance(value, list | tuple) else value


def _is_config(value: Any) -> bool:
    return isinstance(value, Mapping) and bool({"_target_", "class_path"} & set(value))
