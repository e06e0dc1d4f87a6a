"""Writing a file so that nobody ever sees a part of it."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file under a temporary name beside it and rename it; what was there stays when that fails.

    The temporary name is a constant one, so that what a killed process left is overwritten, not added to.
    OSError where the disk is full or the directory is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could keep the new name and lose the bytes
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
