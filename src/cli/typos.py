"""Explain what is wrong with a command line, on one line, and suggest the name that was probably meant."""

import re
import shlex
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from hydra.core.override_parser.types import Quote
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from src.cli.text_values import CONFIGS, quote
from src.utils.errors import UserError, did_you_mean, first_line, one_line
from src.utils.plain import to_plain

_KEY = re.compile(r"[+~]{0,2}[\w.]+")
_ADVICE = "--cfg job shows the config, --help its groups"
_RENAMED = {"model.adam_lr": "model.optimizer.lr"}


def refuse_empty_keys(words: list[str]) -> None:
    """Raise UserError for words without a key, for which Hydra prints a traceback."""
    for word in words:
        if word.startswith("=") or not word.strip():
            raise UserError(f"{word!r}: has no key; give key=value without spaces around the equals sign")


def explain(error: HydraException | OmegaConfBaseException) -> str:
    """Return a composition error as one line: what was given, and the nearest key or choice."""
    cause = error.__cause__
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, MissingConfigException) and "/" in str(error.missing_cfg_file):
        return f"{_no_such_choice(error)} ({_ADVICE})"
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key and cause.parent_node is not None:
        return f"{cause.full_key}: no such key.{_nearest_key(cause)} ({_ADVICE}, +KEY=VALUE adds a key)"
    for pattern, answer in _ANSWERS:
        found = re.match(pattern, str(error), re.DOTALL)
        if found:
            return answer(*found.groups())
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {first_line(error)} ({_ADVICE})"
    return f"{one_line(error)} ({_ADVICE})"


def _no_such_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    file = re.match(r"In '([^']+/[^']+)'", str(error))  # in the defaults of the entry's own config it is not named
    known = error.options or [path.stem for path in (CONFIGS / group).glob("*.yaml")]  # empty for an item of a list
    return f"{f'{file[1]}: ' if file else ''}{group}/{choice} not found.{did_you_mean(choice, known)}"


def _nearest_key(cause: ConfigAttributeError | ConfigKeyError) -> str:
    if cause.full_key in _RENAMED:
        return f" Did you mean '{_RENAMED[cause.full_key]}'?"
    if not cause.parent_node:  # it was a value, which Hydra has removed to set a key below it
        return f" {(cause.full_key or '').rpartition('.')[0]} is also given, as one value; give only keys below it."
    root = to_plain(cause.parent_node._get_root(), resolve=False)
    groups = [path.name for path in CONFIGS.iterdir() if path.is_dir()]  # some, such as experiment, have no key
    return nearest(cause.full_key or "", [*nested_keys(root), *groups], map(str, cause.parent_node))


def _nothing_to_delete(key: str) -> str:
    group, _, name = key.rpartition(".")
    known = [path.stem for path in (CONFIGS / group.replace(".", "/")).glob("*.yaml")]
    suggestion = "" if name in known or not group else did_you_mean(name, known)
    return f"~{key}: the config has no such key to leave out.{suggestion}"


def _no_such_group(group: str) -> str:
    return f"{group}: this command has no group {group} (--help lists its groups)"


def _several_values(key: str, values: str) -> str:
    as_list = shlex.quote(f"{key}=[{values}]")
    return f"{key}: several values given, {values}; give one value, a list as in {as_list}, or -m for a run of each"


_ANSWERS = (  # to Hydra's messages whose exceptions have no specific type
    (r"Could not delete from config. '([\w.]+)'", _nothing_to_delete),
    (r"Could not override '([^']+)'.\s+No match in the defaults list", _no_such_group),
    (r"Ambiguous value for argument '(.*?)=(.*?)'\n", _several_values),
)


def _unreadable(word: str) -> str:
    """Explain why Hydra cannot read a word, and suggest what to type instead."""
    key, equals, value = word.partition("=")
    if not equals:
        return f"{word}: give key=value, as in ckpt_path=best or input=sound.wav"
    if not _KEY.fullmatch(key):
        return f"{word}: {key} cannot be given on a command line; set it in a YAML file, as those in configs/synth"
    return f"{word}: cannot be read; if it is text, paste {shlex.quote(f'{key}={quote(value, Quote.double)}')}"


def nearest(given: str, known: list[str], siblings: Iterator[str]) -> str:
    """Suggest a full key, even if only its last part was given, such as lr for model.optimizer.lr."""
    inside = [path for path in known if path.endswith(f".{given}")]
    others = [path for path in known if not given.startswith(f"{path}.")]
    close = inside or get_close_matches(given, others, n=1, cutoff=0.7)
    return f" Did you mean '{close[0]}'?" if close else did_you_mean(given.rpartition(".")[2], siblings)


def nested_keys(config: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every key, Hydra's own keys last."""
    for key, value in sorted(config.items(), key=lambda pair: pair[0] == "hydra" and not prefix):
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from nested_keys(value, f"{prefix}{key}.")
