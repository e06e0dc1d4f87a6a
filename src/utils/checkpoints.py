"""Which checkpoint a user means, and what of one does not hold for other data."""

import math
from pathlib import Path
from typing import Any

from src.utils.errors import UserError


def find_checkpoint(given: str, log_dir: Path) -> Path:
    """Return a file's path, or for `best` and `last` that checkpoint of the newest training run."""
    if given not in ("best", "last"):
        if Path(given).is_dir():
            raise UserError(f"ckpt_path: {given} is a directory; give a .ckpt file in it, best, or last")
        if not Path(given).is_file():
            raise UserError(f"ckpt_path: {given} does not exist; give a .ckpt file, best, or last")
        return Path(given)
    runs = log_dir / "train" / "runs"
    found = sorted(runs.glob(f"*/checkpoints/{given}.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"ckpt_path: no run below {runs} has a {given}.ckpt; train a model first")
    return found[-1]


def forget_bests(checkpoint: dict[str, Any]) -> None:
    """Take out of a checkpoint what was best so far: figures of its own data, with which others do not compare."""
    kept = {key: one for key, one in checkpoint["callbacks"].items() if not _compares(key)}
    checkpoint["callbacks"] = kept
    for state in checkpoint["lr_schedulers"]:
        if "best" in state:
            state |= {"best": math.inf, "bad_epochs": 0}


def _compares(key: str) -> bool:
    return "Checkpoint{" in key or "EarlyStopping{" in key  # as Lightning names their states
