"""What reading a checkpoint may come to: one printable line, or the model that is in the file, and nothing else."""

import contextlib
import io
import math
import resource
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from src.data.spec import DatasetSpec
from src.models.build import read_checkpoint, restore_model
from src.models.training_state import require_training_state
from tests import running
from tests.mutation.checkpoints import mutate
from tests.mutation.guard import guarded
from tests.mutation.oracle import MEGABYTES, Silent

_SCALARS = ((), (1,))  # torch loads one number into either


class Grown(Exception):
    """Reading a file took more memory than any file may."""


def make_original() -> bytes:
    """Return the checkpoint of a run of one epoch."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        given = ("trainer.max_epochs=1", "test=false", "logger=none")
        running.run("train", Path(folder) / "data", Path(folder) / "run", *given)
        return (Path(folder) / "run/checkpoints/last.ckpt").read_bytes()


def make_case(original: bytes, directory: Path, seed: int) -> tuple[str, Callable[[], None]]:
    """Return the name of a kind, and what reads one mutant of it as predictions and a training do."""
    mutant = mutate(original, seed)
    path = directory / "mutant.ckpt"

    def read() -> None:
        path.write_bytes(mutant.content)
        threads, peak = threading.active_count(), _peak_megabytes()
        try:
            with guarded(directory):
                checkpoint = read_checkpoint(path)
                model = restore_model(checkpoint)
                _require_same(mutant.damaged, checkpoint, model, original)
                require_training_state(checkpoint, model)
        finally:
            if threading.active_count() > threads:
                raise AssertionError("it started threads")
            if _peak_megabytes() - peak > MEGABYTES:
                raise Grown(f"{_peak_megabytes() - peak:.0f} MB")

    return mutant.kind, read


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _require_same(damaged: bool, checkpoint: dict[str, Any], model: Any, original: bytes) -> None:
    """Silent where a model that was taken differs from what its file says."""
    weights, held = model.state_dict(), checkpoint["state_dict"]
    if damaged and not _same(checkpoint, torch.load(io.BytesIO(original), weights_only=True)):
        raise Silent("a damaged file gives other values")
    if set(weights) != set(held) or not all(_alike(weights[name], held[name]) for name in weights):
        raise Silent("the model's weights are not the file's")
    if model.spec != DatasetSpec.from_dict(checkpoint["dataset_spec"]):
        raise Silent("the model's spec is not the file's")
    with torch.inference_mode():
        image = torch.linspace(0, 1, math.prod(model.spec.image_shape)).reshape(1, *model.spec.image_shape)
        values = model.values(image, torch.tensor([[-80.0, 0.0]]))
    if values.shape != (1, len(model.spec.space)):
        raise Silent(f"values of shape {tuple(values.shape)}")


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape and not {tuple(one.shape), tuple(other.shape)} <= {*_SCALARS}:
        return False
    return torch.equal(one.reshape(-1).nan_to_num(), other.reshape(-1).to(one.dtype).nan_to_num())


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, dict):
        if not isinstance(other, dict) or one.keys() != other.keys():
            return False
        return all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other or (one != one and other != other)
