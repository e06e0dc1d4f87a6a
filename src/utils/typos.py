"""What Hydra says of a mistyped key or choice, on one line with the name that was probably meant."""

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from src.utils.errors import did_you_mean, one_line


def explain(error: HydraException | OmegaConfBaseException) -> str:
    """Return a composition error as one line: what was given, and the key or choice nearest to it."""
    if isinstance(error, MissingConfigException) and "/" in str(error.missing_cfg_file):
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        found = re.match(r"In '([^']+/[^']+)'", str(error))  # an entry's own defaults are as good as the command line
        known = error.options or [path.stem for path in (_configs() / group).glob("*.yaml")]  # none for one of a list
        return f"{f'{found[1]}: ' if found else ''}{group}/{choice} not found.{did_you_mean(choice, known)}"
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key and cause.parent_node is not None:
        root = OmegaConf.to_container(cause.parent_node._get_root(), resolve=False)
        siblings = map(str, cause.parent_node)
        groups = [path.name for path in _configs().iterdir() if path.is_dir()]  # some, as experiment, leave no key
        return f"{cause.full_key}: no such key.{_nearest(cause.full_key, [*_keys(root), *groups], siblings)}"
    if deleted := re.match(r"Could not delete from config. '([\w.]+)'", str(error)):
        group, _, name = deleted[1].rpartition(".")
        known = [path.stem for path in (_configs() / group.replace(".", "/")).glob("*.yaml")]
        suggestion = "" if name in known or not group else did_you_mean(name, known)
        return f"~{deleted[1]}: there is none to leave out.{suggestion}"
    given = f"{error.override}: " if isinstance(error, OverrideParseException) else ""
    return f"{given}{one_line(error)}"


def _nearest(given: str, known: list[str], siblings: Iterator[str]) -> str:
    """Suggest a whole path, also for the bare last part of one, as lr for model.optimizer.lr."""
    inside = [path for path in known if path.endswith(f".{given}")]
    others = [path for path in known if not given.startswith(f"{path}.")]
    close = inside or get_close_matches(given, others, n=1, cutoff=0.7)
    return f" Did you mean '{close[0]}'?" if close else did_you_mean(given.rpartition(".")[2], siblings)


def _keys(config: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every key, those of Hydra itself last."""
    for key, value in sorted(config.items(), key=lambda pair: pair[0] == "hydra" and not prefix):
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")


def _configs() -> Path:
    return Path(os.environ["PROJECT_ROOT"], "configs")
