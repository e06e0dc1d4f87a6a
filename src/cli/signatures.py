"""Check a `_target_` config against the signature: an unknown class, an unknown argument, a value of the wrong type."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pkgutil import resolve_name
from typing import Any, get_type_hints

from omegaconf import DictConfig
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from src.utils.errors import UserError, did_you_mean, one_line, shown
from src.utils.plain import to_plain


def require_valid_arguments(config: DictConfig, groups: Sequence[str]) -> None:
    """Raise UserError with the key of the first fault in a config's groups, before anything is built."""
    plain = to_plain(config)
    for group in groups:
        for key, cause in signature_faults(plain.get(group), group):
            raise UserError(f"{key}: {cause}")


def signature_faults(config: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield the full key and the cause of each fault of a plain config, at any depth."""
    if isinstance(config, list):
        for at, value in enumerate(config):
            yield from signature_faults(value, f"{key}.{at}")
    if not isinstance(config, Mapping):
        return
    for name, value in config.items():
        yield from signature_faults(value, f"{key}.{name}")
    if "_target_" not in config or key.endswith(".loss"):  # src.models.losses checks its configs
        return
    path = config["_target_"]
    if not isinstance(path, str) or not path:
        yield f"{key}._target_", f"{shown(path)} given; give the dotted path of a class"
        return
    if "." not in path:
        return
    try:
        target = resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        yield f"{key}._target_", one_line(error)
        return
    if not callable(target):
        yield f"{key}._target_", f"{path} is not a class or function"
        return
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # a compiled function has no signature
        return
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    hints = _hints(target)
    if takes_any and inspect.isclass(target):  # its bases may know the arguments that it passes on
        for base in target.__mro__[1:]:
            hints = _hints(base) | hints
    for name, value in config.items():
        if name.startswith("_"):
            continue
        if name not in parameters and not takes_any:
            yield f"{key}.{name}", f"{path} has no such argument.{did_you_mean(name, parameters)}"
        elif value is None and (name not in parameters or parameters[name].default is None):  # left to a base class
            continue
        elif not _suits(value, hints.get(name)):
            given = "null" if value is None else shown(value)
            yield f"{key}.{name}", f"{given} given; {path} takes {_shown(hints[name])}"


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


@cache
def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):  # names that only a type checker imports; a compiled function
        return {}


def _suits(value: Any, hint: Any) -> bool:
    """Return whether a plain value has the type of an annotation; True for unknown ones and for what is yet to build.

    NaN suits nothing.
    """
    if isinstance(value, float) and math.isnan(value):
        return False
    if hint is None or _is_built(value):
        return True
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # an annotation that pydantic does not know, or that has its own configuration
        return True
    try:
        taken = adapter.validate_python(value)
    except ValidationError as error:
        # a class of somebody else's, such as DictConfig or Tensor, may be made from a list or a mapping
        other_class = any(fault["type"] == "is_instance_of" for fault in error.errors())
        return other_class and isinstance(value, dict | list)
    if value is None or isinstance(value, dict | list):
        return True
    if isinstance(value, str):
        return not isinstance(taken, int | float)  # the text "3" is not a number
    if isinstance(value, bool):
        return isinstance(taken, bool)
    return isinstance(value, int) or not isinstance(taken, int)  # nor is 1e5 a whole number


def _is_built(value: Any) -> bool:
    """Return whether something is built from a config's value, at any depth, before it is used."""
    if isinstance(value, Mapping):
        return "_target_" in value or any(_is_built(part) for part in value.values())
    return isinstance(value, list) and any(_is_built(part) for part in value)
