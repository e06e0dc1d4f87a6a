"""A study's best trial as an experiment file."""

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.study import Study
from optuna.trial import TrialState

from src.search.study import COMMAND, FIXED, MONITOR
from src.utils.files import write_atomic

_HEADER = """\
# @package _global_
# Trial {number}, the best of study {study} so far: {monitor} {value:.5g}.
# python src/train.py experiment={path}{deleted}
# Found by: {command}
"""


def write_best(directory: Path, study: Study, groups: Collection[str]) -> None:
    """Write the best finished trial to best.yaml in `directory`, if any trial has finished.

    `groups` are the names of all config groups; their choices go into the defaults list.
    """
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return
    best, path = study.best_trial, directory / "best.yaml"
    chosen = {key: f"{key}={value}" for key, value in best.params.items()}
    defaults: list[str | dict[str, Any]] = []
    values = OmegaConf.create({})
    deleted = ""
    for override in OverridesParser.create().parse_overrides([*(study.user_attrs[FIXED] | chosen).values()]):
        key, value = override.key_or_group, None if override.is_delete() else override.value()
        if key == "experiment":
            defaults.insert(0, f"/experiment/{value}")
        elif key in groups:
            defaults.append({f"/{key}" if override.is_add() else f"override /{key}": value})
        elif override.is_delete():
            deleted += f" {shlex.quote(str(override.input_line))}"  # a file cannot delete a key
        else:
            OmegaConf.update(values, key, value, force_add=True)
    header = _HEADER.format(
        number=best.number,
        study=study.study_name,
        monitor=study.user_attrs[MONITOR],
        value=best.value,
        path=shlex.quote(str(path.resolve())),
        deleted=deleted,
        command=study.user_attrs[COMMAND],
    )
    config = OmegaConf.merge({"defaults": [*defaults, "_self_"]}, values)
    write_atomic(path, (header + OmegaConf.to_yaml(config)).encode())
