"""Write files atomically, and check files from untrusted sources."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from src.utils.errors import UserError, printable
from src.utils.locks import locked

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # its first line, by the Git LFS specification


@contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing under a temporary name in its directory, then rename it; on failure the old file stays.

    The temporary name does not vary, so that a later run removes what a killed process left; a link of that name is
    removed too, not followed. Two processes write one after the other, and the last one's file stays. Raises OSError,
    which names the file, if the disk is full or the directory is not writable.
    """
    partial, lock = (path.with_name(f".{path.name}.{kind}") for kind in ("partial", "lock"))
    try:
        with locked(lock):
            partial.unlink(missing_ok=True)
            try:
                with partial.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())  # otherwise a power cut could keep the new name and lose the bytes
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        if error.filename in (None, str(partial), str(lock)):  # a failed write names no file
            error.filename = str(path)
        raise


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a whole file as `open_atomic` does."""
    with open_atomic(path) as file:
        file.write(content)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_content(path: Path, remedy: str) -> None:
    """Raise UserError unless a path is a regular file that is not empty; `remedy` says what to give instead.

    Devices, pipes and sockets are refused, since they may block or never end, and so are Git LFS pointers.
    """
    fault = _fault(path, remedy)
    if fault:
        raise UserError(f"{path_text(path)}: {fault}")


def _fault(path: Path, remedy: str) -> str | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"{_kind(status.st_mode)} and not a file; {remedy}"
        if status.st_size == 0:
            return f"0 bytes; {remedy}"
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except FileNotFoundError:
        return f"no such file; {remedy}"
    except OSError as error:
        return f"cannot be read ({error.strerror}); {remedy}"
    if start == _LFS_POINTER:
        return "a Git LFS pointer, not the file itself; fetch the file with: git lfs pull"
    return None


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def path_text(path: Path | str) -> str:
    """Return a path as printable text; a backslash is doubled, so that no two paths give the same text."""
    return printable(str(path).replace("\\", "\\\\"))


def shown_path(path: object) -> str:
    """Return a path or URL as text, relative to the working directory if it is inside it."""
    return str(path).removeprefix(f"{Path.cwd()}{os.sep}")
