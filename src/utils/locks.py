"""A lock that processes of one or of several machines respect, and that a killed one cannot leave behind."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, waiting for whoever has it; the file is removed afterwards.

    On a file system without locks nothing is held, so what is done inside must be safe, if wasteful, when done twice.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            _wait_for(file, path)
            if not _is_still(file, path):
                continue  # whoever had it has removed it: the next to come would lock another file
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _wait_for(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("waiting for the process that holds %s", path)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise


def _is_still(file: IO[str], path: Path) -> bool:
    """Tell whether an open file is what its path names."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
