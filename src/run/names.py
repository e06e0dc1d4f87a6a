"""The name, tags and model that identify a run; the name is part of its directory's name.

Configs use `${run_directory:NOW,NAME}`, which every process that composes a config resolves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src.run.record import read_record
from src.utils.errors import UserError

if TYPE_CHECKING:
    from src.data.spec import DatasetSpec

_DEFAULT_HEADS = "regression"  # the default in configs/train.yaml, left out of a model's name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")  # as for datasets, and short enough for any file system
_RULE = "give at most 64 letters, digits and _ . + -, beginning with a letter or digit"


def run_directory(started: str, name: object) -> str:
    """Return a run directory's name: the start time, then the run's name if it has one."""
    return started if name is None else f"{started}_{checked_name(name, 'name')}"


def run_names(config: DictConfig) -> tuple[str | None, list[str]]:
    """Return a config's `name` and `tags`; raise UserError for an invalid name or tag."""
    name, tags = config.get("name"), config.get("tags") or []
    if OmegaConf.is_list(tags):
        tags = list(tags)
    elif isinstance(tags, str | int):
        tags = [tags]
    if not isinstance(tags, Sequence):
        raise UserError(f"tags: {tags} given; give a list of names, as in tags=[moog,test]")
    return None if name is None else checked_name(name, "name"), [checked_name(tag, "tags") for tag in tags]


def description(config: DictConfig, spec: DatasetSpec, directory: Path) -> dict[str, Any]:
    """Return the values of a run's config that a table of runs shows, as plain data."""
    name, tags = run_names(config)
    before: dict[str, Any] = next(
        reversed(read_record(directory)), {}
    )  # the command of a resumed run does not name a model
    network = str(OmegaConf.select(config, "model.network._target_") or "").rpartition(".")[2]
    model = _model_choice() or before.get("model") or network
    data = {"name": spec.name, "synth": spec.origin.synth_type, "samples": sum(spec.counts.values())}
    return {"name": name, "tags": tags, "data": data, "model": model, "monitor": config.monitor}


def checked_name(given: object, key: str) -> str:
    """Return a name as text; raise UserError if it cannot be part of a directory's name."""
    if isinstance(given, bool | float):  # YAML reads `on` or `1e5` as such
        raise UserError(f"{key}: {given} given, a {type(given).__name__}; quote it twice, as in {key}=\"'1e5'\"")
    if not isinstance(given, str | int) or not _NAME.fullmatch(str(given)):
        raise UserError(f"{key}: {str(given)[:80]!r} given; {_RULE}")
    return str(given)


def _model_choice() -> str | None:
    """Return the chosen model and heads, such as `cnn_micro_ordinal`; None if the command does not choose a model."""
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    model, heads = choices.get("model"), choices.get("heads")
    return f"{model}_{heads}" if model and heads not in (None, _DEFAULT_HEADS) else model


OmegaConf.register_new_resolver("run_directory", run_directory, replace=True)
OmegaConf.register_new_resolver("plain_name", checked_name, replace=True)  # ${plain_name:NAME,KEY}, of a study
