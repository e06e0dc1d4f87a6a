"""The name and tags of a run, and the directory that the name becomes a part of.

Configs use `${run_directory:NOW,NAME}`, which Hydra resolves in every process that composes a config.
"""

import re
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from src.utils.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")  # as of a dataset, and short enough for any file system
_RULE = "letters, digits and _ . + - after a first letter or digit, at most 64 characters"


def run_directory(started: str, name: object) -> str:
    """Return a run directory's name: when it was started, then the run's name where it has one."""
    return started if name is None else f"{started}_{checked_name(name, 'name')}"


def run_names(config: DictConfig) -> tuple[str | None, list[str]]:
    """Return a config's `name` and `tags`; UserError where one is no name."""
    name, tags = config.get("name"), config.get("tags") or []
    if OmegaConf.is_list(tags):
        tags = list(tags)
    elif isinstance(tags, str | int):
        tags = [tags]
    if not isinstance(tags, Sequence):
        raise UserError(f"tags: {tags} given; a list of names, as in tags=[moog,test]")
    return None if name is None else checked_name(name, "name"), [checked_name(tag, "tags") for tag in tags]


def checked_name(given: object, key: str) -> str:
    """Return a name as text; UserError where it could not be a part of a directory's name."""
    if isinstance(given, bool | float):  # what YAML makes of `on` or `1e5`
        raise UserError(f"{key}: {given} given, a {type(given).__name__}; quote it twice, as in {key}=\"'1e5'\"")
    if not isinstance(given, str | int) or not _NAME.fullmatch(str(given)):
        raise UserError(f"{key}: {str(given)[:80]!r} given; {_RULE}")
    return str(given)


OmegaConf.register_new_resolver("run_directory", run_directory, replace=True)
