"""Which code a checkpoint may name: the listed classes, each in its role, and what the user trusts.

A checkpoint may come from anywhere, and the classes that it names are imported and called with its arguments. Arguments
of a listed class must be plain numbers and words; those of a class that the user trusts are not checked.
"""

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from src.models.components.timm_backbone import FILE_ARGUMENTS, FILE_OPTIONS, PLAIN_OPTIONS
from src.models.listed_classes import LIBRARY_CLASSES, LIBRARY_WORDS, ROLES
from src.models.losses.locate import full_path
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError, did_you_mean, printable, shown
from src.utils.trust import how_to_trust, is_trusted

TIMM_BACKBONE = "src.models.components.timm_backbone.TimmBackbone"
_TIMM_WORD = re.compile(r"[a-z0-9_.]{0,64}")
_PLAIN_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_"}
_NAMING = ("_target_", "class_path")
_LARGEST_SIZE = 65_536  # layers, channels, levels: a larger network would have gigabytes of weights
_LARGEST_FILTER = 8192  # auraloss builds a filter bank of n_fft x bins immediately
_LARGEST_NUMBER = 2**53
_COUNTS = ("steps", "class_counts")  # numbers of batches and examples, not sizes

_Whose = Literal["user", "ours", "library"]


def require_allowed(config: Mapping[str, Any], trust: Sequence[str] = ()) -> None:
    """Raise UserError, beginning with the key, for a name or argument that a file's model config may not contain."""
    whose = _require_named(config, "model_config", "model", trust)
    if whose == "ours":
        known = {*inspect.signature(VIMHLitModule).parameters, *_PLAIN_KEYS} - {"self", "spec", "config"}
        for key in config:
            if key not in known:
                raise UserError(f"model_config.{printable(key, 80)}: no such key.{did_you_mean(key, known)}")
    for key, value in config.items():
        if key not in _NAMING:
            _require(value, f"model_config.{printable(key, 80)}", key if key in ROLES else "", whose, trust)


def named_classes(config: Any, key: str = "") -> set[str]:
    """Return the dotted paths that a model's config names, at any depth."""
    found = set()
    if isinstance(config, Mapping):
        for name, value in config.items():
            found |= named_classes(value, str(name))
    elif isinstance(config, list | tuple):
        for value in config:
            found |= named_classes(value, key)
    elif isinstance(config, str) and key in (*_NAMING, "loss"):
        found.add(config)
    return found


def is_listed(config: Mapping[str, Any]) -> bool:
    """Return whether a model config names only listed classes."""
    listed = frozenset().union(*ROLES.values())
    return all(path in listed or full_path(path) in listed for path in named_classes(config))


def _require(value: Any, key: str, role: str, whose: _Whose, trust: Sequence[str]) -> None:
    """Check one value at any depth; `whose` says whose class it is passed to."""
    if isinstance(value, Mapping):
        _require_mapping(value, key, role, whose, trust)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            _require(inner, f"{key}.{at}", role, whose, trust)
    elif isinstance(value, str):
        if "${" in value or value == "???":  # to OmegaConf a reference, and a missing value
            raise UserError(
                f"names {shown(value)} as {key}, which is not allowed in a checkpoint; give the value itself"
            )
        if whose == "library" and value not in LIBRARY_WORDS:
            raise UserError(f"{key}: {shown(value)} given; give one of {', '.join(sorted(LIBRARY_WORDS))}")
    elif whose != "user" and isinstance(value, int | float):
        sizes = role in ("network", "heads") and not set(_COUNTS) & set(key.split("."))
        most = _LARGEST_NUMBER
        if sizes and isinstance(value, int):
            most = _LARGEST_FILTER if whose == "library" else _LARGEST_SIZE
        if not math.isfinite(value) or abs(value) > most:
            raise UserError(f"{key}: {shown(value)} given; give a number of at most {most}")


def _require_mapping(value: Mapping[str, Any], key: str, role: str, whose: _Whose, trust: Sequence[str]) -> None:
    if any(name in value for name in _NAMING):
        whose = _require_named(value, key, role, trust)
    is_timm = value.get("_target_") == TIMM_BACKBONE and whose != "user"
    for name, inner in value.items():
        where = f"{key}.{printable(name, 80)}"
        if name in _NAMING or (is_timm and name in FILE_ARGUMENTS):  # a restored model does not read them
            continue
        if whose != "user" and name.startswith("_") and name not in _PLAIN_KEYS:
            raise UserError(f"{where}: a file may not use this key")
        part = "heads" if name == "loss" and role == "task" else role  # a task's own loss is one of the same classes
        if name == "loss" and part == "heads" and isinstance(inner, str):
            _require_named({"_target_": inner}, where, part, trust)
        elif is_timm and name == "options":
            _require_timm_options(inner, where)
        elif not (name.startswith("_") and name in _PLAIN_KEYS):
            _require(inner, where, part, whose, trust)


def _require_named(value: Mapping[str, Any], key: str, role: str, trust: Sequence[str]) -> _Whose:
    """Return whose class a mapping names; raise UserError unless it is listed for its role or the user trusts it."""
    whose: _Whose = "ours"
    for path in (value[name] for name in _NAMING if name in value):
        if not isinstance(path, str):
            raise UserError(f"names {shown(path)}, which is not a class path; give the path of a class ({key})")
        if path in ROLES.get(role, ()) or (role == "heads" and full_path(path) in ROLES["heads"]):  # older names
            whose = "library" if path in LIBRARY_CLASSES else whose
        elif is_trusted(path, trust):
            whose = "user"
        else:
            name = path if path.isprintable() and len(path) <= 200 else shown(path)
            raise UserError(f"names {name}, which is not an allowed class; {how_to_trust(path)} ({key})")
    return whose


def _require_timm_options(options: Any, key: str) -> None:
    """Raise UserError unless the options of a timm model are plain options of its architecture."""
    if not isinstance(options, Mapping | None):
        raise UserError(f"{key}: {shown(options)} given; options by their names are needed")
    for name, value in (options or {}).items():
        if name in FILE_OPTIONS:  # a restored model does not read them
            continue
        if name not in PLAIN_OPTIONS:
            raise UserError(f"{key}.{printable(name, 80)}: a file may not give this option of a timm model")
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, str) and not _TIMM_WORD.fullmatch(item):
                raise UserError(f"{key}.{name}: {shown(item)} given; a name that timm knows is needed")
        _require(value, f"{key}.{name}", "network", "ours", ())
