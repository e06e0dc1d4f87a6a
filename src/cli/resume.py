"""Translate `resume=<run directory>` on a command line to the words with which Hydra loads that run's own config."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from src.cli.text_values import quote, text_of
from src.run.lock import is_in_use
from src.run.ranks import launched, rank
from src.run.record import ROOT, read_record
from src.utils.errors import UserError
from src.utils.files import shown_path, write_atomic

_HYDRA = "+hydra=default"  # Hydra's own settings, which a saved config does not hold
CONFIG = Path(".hydra/config.yaml")  # Hydra saves it with its references, so that a run can be moved


def resumed(words: list[str]) -> list[str]:
    """Return a command line with `resume=DIR` as Hydra expects it; raise UserError if nothing can be resumed.

    The saved config replaces configs/train.yaml, so that a run continues with its own values even where configs/
    has changed since. Values that the command line gives replace saved ones, except those that an optimizer's state
    holds, see `require_same_optimizer`.
    """
    if _HYDRA in words:  # prepared by the process that started this one
        return words
    given = [word for word in words if re.match(r"\+{0,2}resume=", word) and text_of(word) not in ("", "null")]
    if not given:
        _refuse_used(words)
        return words
    others = [word for word in words if word not in given]
    name = text_of(given[-1])
    if name == "last" and launched():  # each process would search separately, and could find another run
        raise UserError("resume: last given, but several processes may find different runs; give the run's directory")
    if name == "last":
        log_dirs = [text_of(word) for word in others if word.startswith("paths.log_dir=")]
        directory = last_unfinished(Path(log_dirs[-1]) if log_dirs else ROOT / "logs")
    else:
        directory = Path(name).expanduser().absolute()
    _check(directory)
    for word in others:
        group = word.lstrip("+~").partition("=")[0].partition("@")[0]
        if (ROOT / "configs" / group).is_dir() and "=" in word:
            raise UserError(
                f"{word}: a resumed run keeps its {group}; "
                "give single values, as in trainer.max_epochs=100, or start a new run"
            )
        if word in ("-m", "--multirun"):
            raise UserError(f"{word}: a run cannot be resumed in a sweep; leave it out")
    return [
        *("--config-dir", str(directory / CONFIG.parent), "--config-name", CONFIG.stem),
        _HYDRA,
        *others,
        f"hydra.run.dir={quote(str(directory))}",
        "hydra.output_subdir=null",  # otherwise Hydra would overwrite the config that it reads
        f"++resume={quote(str(directory))}",
    ]


def last_unfinished(log_dir: Path) -> Path:
    """Return the newest training run that is neither finished nor in use; raise UserError if there is none.

    A run that has a checkpoint is preferred, since a run without may be a command that just failed.
    """
    records = sorted((log_dir / "train" / "runs").glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    found = []
    for directory in (record.parent for record in reversed(records)):
        sessions = read_record(directory)
        if sessions and sessions[-1]["outcome"] != "finished" and not is_in_use(directory):
            found.append(directory)
    if not found:
        raise UserError(f"resume: no unfinished run in {log_dir}/train/runs; give a run directory")
    return next(filter(newest_checkpoint, found), found[0])


def newest_checkpoint(directory: Path) -> Path | None:
    """Return the checkpoint to continue from, the newest; None if there is none.

    best.ckpt counts only if it is the only one: the run may have been killed before that epoch's last.ckpt was written.
    """
    found = list((directory / "checkpoints").glob("[!.]*.ckpt"))
    others = [path for path in found if path.name != "best.ckpt"]  # see configs/callbacks
    return max(others or found, key=lambda path: path.stat().st_mtime_ns, default=None)


def require_same_optimizer(saved: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise UserError if a model's optimizer differs from the optimizer whose state a checkpoint holds.

    That state restores learning rates, weight decays and groups, whatever the config says. A schedule's values may
    change, from the next step on, but a schedule cannot be added or removed.
    """
    ours, theirs = (dict(_kept(config)) for config in (given, saved))
    for key in [*theirs, *ours]:
        if ours.get(key) != theirs.get(key):
            raise UserError(
                f"{key.removesuffix('._target_')}: {ours.get(key)} given, but the checkpoint's optimizer has "
                f"{theirs.get(key)}; give that, or start a new run without the checkpoint"
            )


def _kept(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for group in ("optimizer", "lr_multipliers"):
        values = config.get(group) or {}
        named = values if isinstance(values, Mapping) else {"": values}  # a checkpoint may hold anything
        yield from ((f"model.{group}.{name}".rstrip("."), value) for name, value in named.items())
    yield "model.scheduler", "a schedule" if config.get("scheduler") else "none"


def how_to_continue(directory: Path) -> str:
    """Return the end of a stopped run's last message: the command that continues the run."""
    return f"continue with: python src/train.py resume={shlex.quote(shown_path(directory))}"


def save_config(config: DictConfig, directory: Path) -> None:
    """Save a resumed run's config with the values of this command line, so that the next `resume=` uses them too."""
    kept = config.copy()
    kept.resume = None
    write_atomic(directory / CONFIG, OmegaConf.to_yaml(kept).encode())


def continue_logs(loggers: DictConfig | None, step: int) -> None:
    """Make the loggers that write files keep their entries before a step; later entries are written again."""
    for logger in (loggers or {}).values():
        if str((logger or {}).get("_target_")).endswith((".TensorBoardLogger", ".ResumableCSVLogger")):
            with open_dict(logger):
                logger.purge_step = step


def _refuse_used(words: list[str]) -> None:
    """Raise UserError if a new run would overwrite another; processes of one launcher share their directory."""
    directories = [text_of(word) for word in words if word.startswith("hydra.run.dir=")]
    if directories and not rank() and not launched() and (Path(directories[-1]) / "run.json").is_file():
        name = directories[-1]
        hint = f"resume={shlex.quote(name)}"
        raise UserError(f"hydra.run.dir: {name} holds a run; give another directory, or continue that run: {hint}")


def _check(directory: Path) -> None:
    if directory.is_file():
        raise UserError(
            f"resume: {directory} is a file; give the run's directory, such as logs/train/runs/..., or last"
        )
    if not directory.is_dir():
        raise UserError(
            f"resume: {directory} does not exist; give a run directory, such as logs/train/runs/..., or last"
        )
    path = directory / CONFIG
    if not path.is_file():
        raise UserError(f"resume: {directory} is not a training run: it has no {CONFIG}; give a run directory")
    try:
        config = OmegaConf.load(path)
        usable = OmegaConf.is_dict(config) and {"model", "data", "trainer", "paths"} <= set(config)
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError):
        usable = False
    if not usable:
        raise UserError(
            f"resume: {path} is damaged or not the config of a training run; repeat the command that started the run"
        )
