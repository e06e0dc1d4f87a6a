"""File locks between processes on one or several machines, which are released even if their process is killed.

On a file system without locks, no lock is held and no error is raised. Work under a lock must therefore be safe, though
wasteful, if two processes do it.
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

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # errors of a file system without locks


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, after waiting for the process that holds it; the file is removed afterwards."""
    with alive(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def alive(path: Path) -> Iterator[None]:
    """Hold a file's lock as `locked`; the file stays afterwards, for `is_free`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with _open(path, "a") as file:
            if not _take(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
                log.info("waiting for the process that holds %s", path)
                _take(file, fcntl.LOCK_EX)
            if _is_still(file, path):  # otherwise its holder has removed it: the next process would lock another file
                yield
                return


def is_free(path: Path) -> bool:
    """Return whether a lock file exists and no process holds it."""
    try:
        with _open(path, "r") as file:
            return _take(file, fcntl.LOCK_SH | fcntl.LOCK_NB, without_locks=False)
    except FileNotFoundError:
        return False


def remove_free(path: Path) -> None:
    """Remove a lock file that no process holds."""
    with suppress(FileNotFoundError), _open(path, "r") as file:
        if _take(file, fcntl.LOCK_EX | fcntl.LOCK_NB, without_locks=False) and _is_still(file, path):
            path.unlink()


def _open(path: Path, mode: str) -> IO[str]:
    """Open a lock file; a link is not followed and a pipe does not block, since a directory may be a copy."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666))


def _take(file: IO[str], how: int, without_locks: bool = True) -> bool:
    """Lock a file; return True, or False if another process holds it, or `without_locks` if locks are unsupported."""
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
    """Return whether an open file is still the file at its path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
