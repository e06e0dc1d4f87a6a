"""Detect that a memory-mapped file was changed while it was in use."""

import ctypes
import functools
import logging
import os
import signal
import weakref
from pathlib import Path

from src.utils.errors import UserError
from src.utils.files import path_text

log = logging.getLogger(__name__)

_open_files: "weakref.WeakSet[WatchedFile]" = weakref.WeakSet()


class WatchedFile:
    """An open file, with its size and modification time when it was opened.

    The file may be renamed or deleted while it is in use: a process that has opened or mapped it keeps its contents.
    """

    def __init__(self, path: Path):
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._opened_as = self._state()
        _open_files.add(self)
        _answer_bus_errors()

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def is_unchanged(self) -> bool:
        """Return whether the file is unchanged since it was opened; takes a microsecond."""
        return self._state() == self._opened_as

    def require_unchanged(self) -> None:
        """Raise UserError if the file has changed since it was opened."""
        if not self.is_unchanged():
            raise UserError(changed(self.path))


def changed(path: Path) -> str:
    """Return the message about a file that was changed while it was in use."""
    return f"{path_text(path)}: was changed while it was in use; restore it or make the dataset again, and start again"


@functools.cache
def _answer_bus_errors() -> None:
    """Handle SIGBUS in C: Python's handlers run only after an instruction, but the faulting one never completes."""
    ctypes.CDLL(None).signal(signal.SIGBUS, _end_in_one_line)


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _end_in_one_line(number: int) -> None:
    """End a process that reads beyond the end of a mapped file, which was truncated after `require_unchanged`."""
    for file in _open_files:
        if not file.is_unchanged():
            log.error(changed(file.path))
            logging.shutdown()
            os._exit(1)
    ctypes.CDLL(None).signal(number, None)  # another cause: the default handler ends the process
