"""One process at a time trains in a run directory."""

import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from src.utils.errors import UserError
from src.utils.locks import NO_LOCKS
from src.utils.ranks import rank


@contextmanager
def only_here(directory: Path) -> Iterator[None]:
    """Hold a directory for a run, all its processes together; UserError names the process of another that has it.

    The lock is the operating system's, so that it ends with its process, however that ends, on whichever
    machine of a shared file system; the file only says who has it. Unlike those of src.utils.locks it is not handed
    down to forked workers, which may outlive a killed run for some seconds.
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
    """Whether a process trains in a run directory; where a file system has no locks, nobody can tell."""
    try:
        with (directory / "run.lock").open("r+") as file:
            return _is_taken(file)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # another user's: whatever it does, it is not for this one


def _is_taken(file: IO[str]) -> bool:
    """Lock an open file, unless another process has it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):  # which of them is up to the system
            return True
        if error.errno not in NO_LOCKS:
            raise
    return False
