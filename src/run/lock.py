"""A lock that lets only one run at a time train in a run directory."""

import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from src.run.ranks import rank
from src.utils.errors import UserError
from src.utils.locks import NO_LOCKS


@contextmanager
def exclusive_run(directory: Path) -> Iterator[None]:
    """Lock a directory for a run and all its processes; a UserError names the process of another run that holds it.

    The operating system releases the lock when its process ends, however it ends, on any machine of a shared file
    system; the file only names the holder. Unlike the locks of src.utils.locks, it is not inherited by forked workers,
    which may live some seconds longer than a killed run.
    """
    if rank():
        yield
        return
    with (directory / "run.lock").open("a+") as file:
        if _is_taken(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(f"{directory} is in use by {holder}; wait for it, or stop it")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        yield
        file.truncate(0)


def is_in_use(directory: Path) -> bool:
    """Return whether a process trains in a run directory; always False on a file system without locks."""
    try:
        with (directory / "run.lock").open("r+") as file:
            return _is_taken(file)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # another user's run: this user cannot write there anyway


def _is_taken(file: IO[str]) -> bool:
    """Try to lock an open file; return whether another process has locked it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):  # systems differ in which they raise
            return True
        if error.errno not in NO_LOCKS:
            raise
    return False
