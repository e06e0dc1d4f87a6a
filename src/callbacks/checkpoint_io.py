"""How checkpoints get onto the disk: whole, or not at all."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from src.utils.errors import UserError
from src.utils.files import write_whole


class WholeCheckpoints(TorchCheckpointIO):
    """Writes each checkpoint beside its final name; Lightning does so in /tmp, whence a move may copy byte by byte.

    `advice` ends what is said when the disk is full.
    """

    def __init__(self, advice: str = ""):
        super().__init__()
        self.advice = advice

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Save a checkpoint; UserError when the disk does not take it: the one before stays."""
        try:
            save_whole(checkpoint, Path(path))
        except OSError as error:
            raise UserError(
                f"{path}: {error.strerror or error}; the checkpoint before it stays: make room, then {self.advice}"
            ) from error


def save_whole(content: Any, path: Path) -> None:
    """Write tensors and plain containers as one file; OSError, with its size, where the disk does not take it."""
    buffer = io.BytesIO()  # torch.save hides what the disk says: it is asked once all bytes are there
    torch.save(content, buffer)
    try:
        write_whole(path, buffer.getbuffer())
    except OSError as error:
        size = f"{buffer.getbuffer().nbytes / 2**20:.1f} MiB"
        raise OSError(error.errno, f"{error.strerror or error} while saving {size}") from error
