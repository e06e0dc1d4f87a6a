"""Write checkpoints to the disk completely or not at all."""

import copy
import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from src.utils.errors import UserError
from src.utils.files import write_atomic


class WholeCheckpoints(TorchCheckpointIO):
    """Writes each checkpoint to its directory under a temporary name, then renames it.

    Lightning writes it to /tmp; moving it to another disk is a copy, which a kill can interrupt. `advice` is the end of
    the message about a full disk.
    """

    def __init__(self, advice: str = ""):
        super().__init__()
        self.advice = advice

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Save a checkpoint; raise UserError if the disk is full; the previous checkpoint is kept."""
        try:
            save_whole(checkpoint, Path(path))
        except OSError as error:
            raise UserError(
                f"{path}: {error.strerror or error}; the previous checkpoint is kept; free some space, "
                f"then {self.advice}"
            ) from error


def save_whole(content: Any, path: Path) -> None:
    """Write tensors and plain containers to one file; raise OSError, with its size, if the disk is full."""
    buffer = io.BytesIO()  # torch.save would hide the disk's error, so the file is written in a second step
    torch.save(_plain(content), buffer)
    try:
        write_atomic(path, buffer.getbuffer())
    except OSError as error:
        size = f"{buffer.getbuffer().nbytes / 2**20:.1f} MiB"
        raise OSError(error.errno, f"{error.strerror or error} while saving {size}") from error


def _plain(value: Any) -> Any:
    """Return containers with plain tensors only: FSDP adds attributes, which a weights_only load refuses."""
    if isinstance(value, torch.Tensor):
        is_plain = type(value) in (torch.Tensor, torch.nn.Parameter) and not vars(value)
        return value if is_plain else value.detach().as_subclass(torch.Tensor)
    if isinstance(value, dict):
        copied = copy.copy(value)  # of the same class: a state dict keeps its metadata
        for key, inner in value.items():
            copied[key] = _plain(inner)
        return copied
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
