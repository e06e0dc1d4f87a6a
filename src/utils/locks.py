"""Locks that processes of one or of several machines respect, and that a killed one cannot leave behind.

On a file system without locks nothing is held, and nobody can tell: what is done under one must be safe, if
wasteful, when done twice.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what a file system without them answers


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, waiting for whoever has it; the file is removed afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            if not _take(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
                log.info("waiting for the process that holds %s", path)
                _take(file, fcntl.LOCK_EX)
            if not _is_still(file, path):
                continue  # whoever had it has removed it: the next to come would lock another file
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


@contextmanager
def alive(path: Path) -> Iterator[None]:
    """Hold the lock of a file of one's own for as long as this lives; the file stays, for `is_free`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as file:
            _take(file, fcntl.LOCK_EX)
            if not _is_still(file, path):
                continue  # it looked like one that is left over, and was removed
            yield
            return


def is_free(path: Path) -> bool:
    """Tell whether a lock's file is there and nobody holds it."""
    try:
        with path.open() as file:
            return _take(file, fcntl.LOCK_SH | fcntl.LOCK_NB, without_locks=False)
    except FileNotFoundError:
        return False


def remove_free(path: Path) -> None:
    """Remove a lock's file that nobody holds."""
    with suppress(FileNotFoundError), path.open() as file:
        if _take(file, fcntl.LOCK_EX | fcntl.LOCK_NB, without_locks=False) and _is_still(file, path):
            path.unlink()


def _take(file: IO[str], how: int, without_locks: bool = True) -> bool:
    """Lock an open file; return whether it is, False where another holds it, `without_locks` where none can be."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return without_locks
    return True


def _is_still(file: IO[str], path: Path) -> bool:
    """Tell whether an open file is what its path names."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
