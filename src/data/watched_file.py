"""Files that are mapped into memory, and what happens when somebody changes one that is in use."""

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
    """A file that was opened, and its size and time of modification at that moment.

    The file itself may be renamed or deleted while it is in use: whoever has it open or mapped keeps its contents.
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
        """Return whether nobody has written to the file since it was opened; takes a microsecond."""
        return self._state() == self._opened_as

    def require_unchanged(self) -> None:
        """Raise UserError if somebody has written to the file since it was opened."""
        if not self.is_unchanged():
            raise UserError(changed(self.path))


def changed(path: Path) -> str:
    """Return what to say of a file that was written to while it was in use."""
    return f"{path_text(path)}: was changed while it was in use; restore it or make the dataset again, and start again"


@functools.cache
def _answer_bus_errors() -> None:
    """Have SIGBUS answered; Python's own handlers run between two instructions only, and this signal is one's fault."""
    ctypes.CDLL(None).signal(signal.SIGBUS, _end_in_one_line)


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _end_in_one_line(number: int) -> None:
    """End a process that reads where a mapped file has no bytes any more: it was cut off after `require_unchanged`."""
    for file in _open_files:
        if not file.is_unchanged():
            log.error(changed(file.path))
            logging.shutdown()
            os._exit(1)
    ctypes.CDLL(None).signal(number, None)  # the default; not ours: the instruction fails again, as it would have
