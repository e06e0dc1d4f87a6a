"""What reading a checkpoint may come to: one printable line, or the model that is in the file, and nothing else."""

import math
import resource
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from src.data.spec import DatasetSpec
from src.models.build import read_checkpoint, restore_model
from src.utils.errors import MOST_LETTERS, UserError
from tests.mutation.checkpoints import Mutant

MOST_SECONDS = 5.0
MOST_GROWTH = 500 * 2**20  # bytes


@dataclass
class Tally:
    """What became of many mutants, by kind, and what went wrong."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def table(self) -> str:
        """Return a line a kind: how many were refused and how many taken."""
        kinds = sorted({kind for kind, _ in self.outcomes})
        rows = [(kind, *(self.outcomes[kind, one] for one in ("refused", "taken"))) for kind in kinds]
        return "\n".join(f"{kind:24} {refused:7} refused {taken:7} taken" for kind, refused, taken in rows)


@contextmanager
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail where a network or a process is asked for."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a checkpoint asked for a process or the network")

    with monkeypatch.context() as patch:
        for owner, name in ((subprocess, "Popen"), (socket, "create_connection"), (socket.socket, "connect")):
            patch.setattr(owner, name, refuse)
        for name in ("system", "popen", "fork", "posix_spawn"):
            patch.setattr(f"os.{name}", refuse)
        yield


def peak_bytes() -> int:
    """Return the most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def is_message(message: str) -> bool:
    """Tell whether a message is what a user may be shown."""
    return 0 < len(message) <= MOST_LETTERS and message.isprintable()


def restore(path: Path) -> tuple[dict[str, Any], Any]:
    """Read a checkpoint and rebuild its model."""
    checkpoint = read_checkpoint(path)
    return checkpoint, restore_model(checkpoint)


def judge(mutant: Mutant, original: dict[str, Any], path: Path) -> tuple[str, str]:
    """Return how a mutant was read, refused or taken, and what was wrong with that, or nothing."""
    path.write_bytes(mutant.content)
    threads, began = threading.active_count(), time.perf_counter()
    try:
        checkpoint, model = restore(path)
    except UserError as error:
        verdict = "refused", "" if is_message(str(error)) else f"not one short line: {str(error)[:300]!r}"
    except Exception as error:  # noqa: BLE001  what else there is, is the fault that is looked for
        verdict = "refused", f"{type(error).__name__}: {str(error)[:300]}"
    else:
        verdict = "taken", _wrong(mutant, checkpoint, model, original)
    seconds = time.perf_counter() - began
    if seconds > MOST_SECONDS:
        verdict = verdict[0], f"{verdict[1]} took {seconds:.1f} s"
    if threading.active_count() > threads:
        verdict = verdict[0], f"{verdict[1]} started threads"
    return verdict


def _wrong(mutant: Mutant, checkpoint: dict[str, Any], model: Any, original: dict[str, Any]) -> str:
    """Return how a model that was taken differs from what its file says, or nothing."""
    weights = model.state_dict()
    held = checkpoint["state_dict"]
    if mutant.damaged and not _same(checkpoint, original):
        return "a damaged file gives other values"
    if set(weights) != set(held) or not all(_alike(weights[name], held[name]) for name in weights):
        return "the model's weights are not the file's"
    if model.spec != DatasetSpec.from_dict(checkpoint["dataset_spec"]):
        return "the model's spec is not the file's"
    with torch.inference_mode():
        image = torch.linspace(0, 1, math.prod(model.spec.image_shape)).reshape(1, *model.spec.image_shape)
        values = model.values(image, torch.tensor([[-80.0, 0.0]]))
    if values.shape != (1, len(model.spec.space)):
        return f"values of shape {tuple(values.shape)}"
    return ""


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.nan_to_num(), other.to(one.dtype).nan_to_num())


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other or (one != one and other != other)
