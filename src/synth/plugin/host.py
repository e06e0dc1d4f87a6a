"""A plug-in in a process of its own, so that one that aborts or hangs does not end the program."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.utils.errors import UserError

_WORKER = Path(__file__).with_name("worker.py")
_LOADING_SECONDS, _CLIP_SECONDS, _ENDING_SECONDS = 60.0, 30.0, 5.0
_MOST_CLIPS = 1000  # of one process: plug-ins lose memory


class LostClip(Exception):
    """The plug-in ended its process, or did not answer in time."""


class Note(NamedTuple):
    """What is played: a MIDI note of a clip."""

    number: int
    velocity: int
    off: float  # s
    seconds: float  # of the clip


class Host:
    """Renders clips of a plug-in in a process of its own, which is started again if it ends or hangs."""

    def __init__(self, source: str, preset: str | None, sample_rate: int):
        self._source = source
        self._arguments = [source, preset or "", str(sample_rate)]
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._clips = 0

    def describe(self) -> list[dict[str, Any]]:
        """Return the plug-in's parameters, see src.synth.plugin.worker; raise UserError if it cannot be loaded."""
        try:
            return self._ask(("describe",), _LOADING_SECONDS)
        except LostClip as error:
            raise UserError(f"synth.source: {self._source} cannot be loaded: {error}") from error

    def render(self, values: dict[int, float], note: Note, reuse: bool) -> np.ndarray:
        """Return the channels (C, T) float32 of a note; raise LostClip if the plug-in ends or hangs."""
        if self._clips >= _MOST_CLIPS and not reuse:
            self.close()
        self._clips += 1
        return self._ask(("render", values, *note, reuse), _CLIP_SECONDS)

    def close(self) -> None:
        """End the process and those that it started, such as bridges to other systems' plug-ins."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = self._connection = None

    def _start(self) -> tuple[subprocess.Popen, Connection]:
        ours, theirs = socket.socketpair()
        command = [sys.executable, str(_WORKER), str(theirs.fileno()), *self._arguments]
        process = subprocess.Popen(  # of another group, so that Ctrl-C does not end it before us
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()
        self._clips = 0
        return process, Connection(ours.detach())

    def _ask(self, question: tuple[Any, ...], seconds: float) -> Any:
        if self._process is None or self._connection is None:
            self._process, self._connection = self._start()
        try:
            self._connection.send(question)
            if not self._connection.poll(seconds):
                raise LostClip(f"it did not answer within {seconds:g} s")
            kind, answer = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            with suppress(subprocess.TimeoutExpired):  # it may have closed its end only
                self._process.wait(_ENDING_SECONDS)
            code = self._process.returncode
            self.close()
            raise LostClip(f"its process ended with status {code}") from error
        except LostClip:
            self.close()
            raise
        if kind == "fault":
            preset = self._arguments[1]
            key = "settings.preset" if preset and answer.startswith(f"{preset}: ") else "source"
            raise UserError(f"synth.{key}: {answer}")
        return answer
