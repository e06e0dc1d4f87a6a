"""Checkpoints that are loaded in a thread, while the page is already shown."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from src.utils.errors import UserError, one_line

if TYPE_CHECKING:
    from src.evaluation.app.session import Session

log = logging.getLogger(__name__)


@dataclass
class Checkpoint:
    """A checkpoint that the page offers; while it is loading, it has neither a session nor a fault."""

    name: str
    path: Path
    session: "Session | None" = None
    fault: str = ""


def load_in_thread(checkpoints: Sequence[Checkpoint], trust: Iterable[str]) -> None:
    """Start to load checkpoints, in order; one that fails states its fault, and the others are loaded."""
    Thread(target=_load, args=(checkpoints, tuple(trust)), daemon=True).start()


def _load(checkpoints: Sequence[Checkpoint], trust: tuple[str, ...]) -> None:
    from src.evaluation.app.session import open_session  # imports torch

    for checkpoint in checkpoints:
        try:
            checkpoint.session = open_session(checkpoint.path, trust)
        except (UserError, OSError) as error:
            checkpoint.fault = one_line(error)
            log.error("%s", error)
        else:
            log.info("loaded: %s", checkpoint.name)
