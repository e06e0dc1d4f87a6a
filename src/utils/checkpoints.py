"""Which checkpoint a user means."""

from pathlib import Path

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
