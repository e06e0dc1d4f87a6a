"""Building the parts of a resolved training config without data, to find every fault by its key."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf

from src.cli.instantiate import build, build_trainer
from src.cli.loggers import require_logger
from src.cli.monitor import require_known
from src.cli.signatures import signature_faults
from src.data.inputs import Inputs
from src.data.recipe import parse_recipe
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UnavailableError, UserError, did_you_mean

Fault = tuple[str, str]  # the full key and the cause

_BUILT = ("data", "model", "trainer", "callbacks", "logger", "synth", "spectral", "dataset")
_UNKNOWN = ParameterSpace([ParameterSpec(name="level", min=0, max=1, step=0.1)])  # for data that no config describes
_ANYWHERE = {"accelerator": "cpu", "devices": 1, "strategy": "auto"}  # so that a trainer's other values can be checked


def parts_of(whole: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the parts to build separately, each with the values that it depends on.

    `known` is a config without an experiment, whose keys are the ones that exist.
    """
    loggers = {f"logger.{role}": {"logger": {role: logger}} for role, logger in (whole["logger"] or {}).items()}
    return {
        "settings": {
            name: {key: config[key] for key in config if key not in _BUILT}
            for name, config in (("given", whole), ("known", known))
        },
        "data": {"data": whole["data"]},
        "model": {key: whole[key] for key in ("model", "data", "monitor")},
        "trainer": {key: whole[key] for key in ("trainer", "callbacks", "paths")}
        | {"model": {"wrappers": whole["model"].get("wrappers")}},
        **loggers,
    }


def build_part(part: str, given: Mapping[str, Any]) -> tuple[list[Fault], list[str]]:
    """Build a part; return its faults, and what is missing on this machine to build it."""
    if part == "settings":
        return list(_unlike(**given)), []
    group, _, role = part.partition(".")
    try:
        if role:
            require_logger(given["logger"][role], part)
    except UnavailableError as error:
        return [], [str(error)]
    groups = ("trainer", "callbacks") if part == "trainer" else (group,)
    faults = [fault for name in groups for fault in signature_faults(given[name], name)]
    if faults:
        return faults, []
    try:
        if part == "data":
            build(OmegaConf.create(given["data"]), "data")
        elif part == "model":
            _build_model(given)
        elif part == "trainer":
            return [], _build_trainer(given)
        else:
            # a Comet logger connects when it is built
            quiet = {"online": False} if "CometLogger" in given["logger"][role]["_target_"] else {}
            build(OmegaConf.create(given["logger"][role] | quiet), part)
    except UserError as error:
        found = re.match(r"(?:[\w.]+: )*", str(error))
        leading = found[0] if found else ""
        cause = str(error)[len(leading) :]
        keys = leading.split(": ")[:-1] or [part]
        return [(keys[-1] if len(keys) == 1 or "." in keys[-1] else ".".join(keys[-2:]), cause)], []
    return [], []


def _build_model(given: Mapping[str, Any]) -> None:
    recipe = given["data"].get("recipe")
    if not recipe:
        build_model(given["model"], DatasetSpec("unknown", Inputs((1, 32, 32)), _UNKNOWN))
        return
    parse_recipe(recipe)
    try:
        datamodule = build(OmegaConf.create(given["data"]), "data")
    except UserError:  # the data are another part
        return
    model = build_model(given["model"], datamodule.planned_spec())
    require_known({"monitor": given["monitor"]}, model.monitorable)


def _build_trainer(given: Mapping[str, Any]) -> list[str]:
    """Build the trainer and its callbacks, on the CPU if its accelerator is missing; return what is missing."""
    try:
        build_trainer(OmegaConf.create(dict(given)))
        return []
    except UnavailableError as error:
        build_trainer(OmegaConf.create({**given, "trainer": {**given["trainer"], **_ANYWHERE}}))
        return [str(error)]


def _unlike(given: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> Iterator[Fault]:
    """Yield the keys that a config without an experiment lacks, and the values whose type differs from its values."""
    for key, value in given.items():
        usual = known.get(key)
        if key not in known:
            yield f"{prefix}{key}", f"no such key.{did_you_mean(key, [*known, *([] if prefix else _BUILT)])}"
        elif isinstance(value, Mapping) and isinstance(usual, Mapping):
            yield from _unlike(value, usual, f"{prefix}{key}.")
        elif None not in (value, usual) and isinstance(usual, bool | int) and type(value) is not type(usual):
            yield f"{prefix}{key}", f"{value!r} given; {usual!r} has the right type"
