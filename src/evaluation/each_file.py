"""Work on many files of which some may be faulty: a fault in one never costs the others."""

import errno
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from src.utils.errors import UserError
from src.utils.files import path_text

Found = TypeVar("Found")


def for_each_file(
    paths: list[Path], work: Callable[[Path, str], Iterable[Found]], alternative: str = ""
) -> tuple[dict[str, list[Found]], list[str]]:
    """Return what `work` yields for each file by the file's name, and a one-line error for each file that failed.

    `work` gets a path and the beginning of the names of the files that it writes. What it yields before an error is
    kept. If a name is too long to write to, the error also names an `alternative` to renaming.
    """
    stems = [path.stem for path in paths]
    unique = len(set(stems)) == len(stems)  # a.wav and a.flac need their suffixes
    results: dict[str, list[Found]] = {}
    faults = []
    for path in paths:
        try:
            for found in work(path, path.stem if unique else path.name):
                results.setdefault(path_text(path.name), []).append(found)
        except UserError as error:
            faults.append(str(error))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            faults.append(f"{path_text(path)}: its name is too long for its results; rename it{alternative}")
    return results, faults
