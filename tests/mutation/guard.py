"""What a file from elsewhere must not make this process do, seen by Python's audit hooks: nothing can hide it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import running

CANARY = "tests.mutation.canary"  # writes a file when it is imported, and when anything in it is called
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn")
_NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
_OF_PYTHON = ("__pycache__", os.devnull)  # what importing and compiling write

_watches: list["_Watch"] = []
_hooked: list[bool] = []


class _Watch:
    """What was done, of which nothing is allowed: a line each."""

    def __init__(self, writable: tuple[Path, ...], secret: tuple[Path, ...]):
        self.writable, self.secret = tuple(map(str, writable)), tuple(map(str, secret))
        self.seen: list[str] = []

    def look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PROCESSES or event in _NETWORK:
            self.seen.append(f"{event} {arguments!r}"[:300])
        elif event in _CHANGES or event == "open":
            self._look_at_file(event, arguments)

    def _look_at_file(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not isinstance(arguments[0], str | bytes | os.PathLike):
            return  # a descriptor, which somebody has opened before
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if self.secret and path.startswith(self.secret):
            self.seen.append(f"{event} {path}, which nobody may open")
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
            return
        if not path.startswith(self.writable) and not any(part in path for part in _OF_PYTHON):
            self.seen.append(f"{event} {path}, outside of what may be written")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for watch in _watches:
        watch.look(event, arguments)


@contextmanager
def guarded(*writable: Path, secret: tuple[Path, ...] = ()) -> Iterator[list[str]]:
    """Fail where a process, a network or the canary is asked for, a file is changed outside of `writable`, or opened
    that is `secret`: a stranger's weights, which a file may not bring in.

    Yield the list of what was seen. The call itself goes on, and may catch its own error.
    """
    if not _hooked:
        sys.addaudithook(_hook)  # for good: Python removes none
        _hooked.append(True)
    sys.modules.pop(CANARY, None)  # else importing it again would not run it
    shared = () if running.shared is None else (running.shared,)
    watch = _Watch((*writable, *shared), secret)
    _watches.append(watch)
    try:
        yield watch.seen
    finally:
        _watches.remove(watch)
    if CANARY in sys.modules:
        watch.seen.append(f"imported {CANARY}")
    assert not watch.seen, watch.seen
