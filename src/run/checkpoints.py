"""Find the checkpoint that a user means."""

import logging
import shlex
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from src.utils.errors import UserError
from src.utils.files import shown_path

log = logging.getLogger(__name__)


def find_checkpoints(config: DictConfig) -> list[Path]:
    """Return the path that `ckpt_path` of a config gives, or those of `ensemble`, at least two."""
    if config.ensemble is None:
        if OmegaConf.is_missing(config, "ckpt_path") or not config.ckpt_path:
            raise UserError("ckpt_path: not given; give a .ckpt file, or best for best.ckpt of the newest run")
        return [find_checkpoint(config.ckpt_path, Path(config.paths.log_dir))]
    if not OmegaConf.is_missing(config, "ckpt_path"):
        raise UserError("ensemble and ckpt_path: both given; give one of them")
    if not isinstance(config.ensemble, ListConfig) or len(config.ensemble) < 2:
        raise UserError(f"ensemble: {config.ensemble} given; give at least two files, as in ensemble=[a.ckpt,b.ckpt]")
    return [find_checkpoint(str(one), Path(config.paths.log_dir)) for one in config.ensemble]


def find_checkpoint(given: str, log_dir: Path) -> Path:
    """Return a file's path; `best` and `last` mean best.ckpt and last.ckpt of the newest training run that has it.

    The log names the file that was found, and warns if a newer run has no such file.
    """
    if given not in ("best", "last"):
        if Path(given).is_dir():
            raise UserError(f"ckpt_path: {given} is a directory; give a .ckpt file in it, best, or last")
        if not Path(given).is_file():
            raise UserError(f"ckpt_path: {given} does not exist; give a .ckpt file, best, or last")
        return Path(given)
    runs = log_dir / "train" / "runs"
    found = checkpoints_of_runs(log_dir, given)
    if not found:
        raise UserError(f"ckpt_path: no run in {runs} has a {given}.ckpt; train a model first")
    _warn_of_newer(runs, found[-1])
    log.info("checkpoint: %s", shown_path(found[-1]))
    return found[-1]


def checkpoints_of_runs(log_dir: Path, name: str) -> list[Path]:
    """Return the checkpoints NAME.ckpt of all training runs, the newest last."""
    found = (log_dir / "train" / "runs").glob(f"*/checkpoints/{name}.ckpt")
    return sorted(found, key=lambda path: path.stat().st_mtime)


def run_of(checkpoint: Path) -> Path | None:
    """Return the directory of the run that wrote a checkpoint; None if the file is elsewhere."""
    run = checkpoint.parent.parent
    return run if (run / "run.json").is_file() else None


def _warn_of_newer(runs: Path, chosen: Path) -> None:
    """Warn if the newest run has no checkpoint with the chosen checkpoint's name."""
    newest = max(runs.glob("*/run.json"), key=lambda path: path.stat().st_mtime, default=None)
    if newest is None or (newest.parent / "checkpoints" / chosen.name).is_file():
        return
    others = [path for path in newest.parent.glob("checkpoints/**/*.ckpt") if path.name != "last.ckpt"]
    written_last = max(others, key=lambda path: path.stat().st_mtime, default=None)
    hint = f"; it has ckpt_path={shlex.quote(shown_path(written_last))}" if written_last else ""
    log.warning("the newest run, %s, has no %s%s", shown_path(newest.parent), chosen.name, hint)
