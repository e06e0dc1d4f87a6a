"""Refuse keys that a command line adds with `+` although nothing reads them."""

import logging
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import yaml
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.cli.text_values import CONFIGS
from src.cli.typos import nearest, nested_keys
from src.utils.errors import UserError
from src.utils.plain import to_plain

log = logging.getLogger(__name__)

# objects or schemas are built from these groups, and they refuse unknown keys
_BUILT = {"data", "model", "trainer", "callbacks", "logger", "synth", "spectral", "dataset"}
_VALUES = ("paths", "extras")  # groups with one file each, whose values are read by name


def overrides() -> list[str]:
    """Return the overrides of this job's config, or an empty list if Hydra did not compose it."""
    if not HydraConfig.initialized():
        return []
    overrides: Any = HydraConfig.get().overrides  # a DictConfig with the fields of this dataclass
    given = to_plain(overrides, resolve=False)  # they may hold `${...}`
    return [*given["hydra"], *given["task"]]


def refuse_unread(words: Iterable[str], entry: str) -> None:
    """Raise UserError for the first key that a job's overrides add and that its entry point does not read.

    `entry` is the name of the job's main file in configs/, or `config` for a resumed run, which has its own train.yaml.
    """
    own = _load("train" if entry == "config" else entry)
    groups = _groups(own.pop("defaults", []))
    known = list(nested_keys(own))
    for group in groups.intersection(_VALUES):
        known += nested_keys(_load(f"{group}/default"), f"{group}.")
    for override in OverridesParser.create().parse_overrides([word for word in words if word.startswith("+")]):
        key = override.key_or_group.replace("/", ".")
        first, _, rest = key.partition(".")
        if first == "hydra" and rest and not _hydra_reads(rest.split(".")):
            raise UserError(f"{key}: added with +, but Hydra does not read it")
        if key in known or first == "hydra" or (first in groups and (not rest or first in _BUILT)):
            continue
        if (CONFIGS / first).is_dir() and first not in groups | set(known):
            raise UserError(f"{key}: this command has no group {first} (--help lists its groups)")
        parent = key.rpartition(".")[0]
        siblings = [name for name in known if name.rpartition(".")[0] == parent]
        suggestion = nearest(key, known, iter(siblings or known))
        raise UserError(f"{key}: added with +, but this command does not read it.{suggestion}")


def warn_of_unused(groups: Collection[str], cause: str) -> None:
    """Warn about command-line words that choose or change groups which this run does not use."""
    unused = [word for word in overrides() if re.split(r"[.=@]", word.lstrip("+~"))[0] in groups]
    if unused:
        log.warning("%s, so this has no effect: %s", cause, " ".join(map(shlex.quote, unused)))


def _hydra_reads(parts: list[str]) -> bool:
    """Return whether Hydra's schema has a key below `hydra`, or leaves it to a launcher or a sweeper."""
    schema: Any = HydraConf
    for part in parts:
        if not is_dataclass(schema):
            return True
        types = {field.name: field.type for field in fields(schema)}
        if part not in types:
            return False
        schema = types[part]
    return True


def _groups(defaults: list[Any]) -> set[str]:
    """Return the config groups of a defaults list, without `override` and `optional` before them."""
    entries = [entry for entry in defaults if isinstance(entry, Mapping)]
    return {group.split()[-1].partition("@")[0].strip("/") for entry in entries for group in entry}


def _load(name: str) -> dict[str, Any]:
    path = CONFIGS / f"{name}.yaml"
    return yaml.safe_load(path.read_text()) or {} if path.is_file() else {}
