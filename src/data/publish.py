"""Write directories that appear completely or not at all, on this machine and at URLs."""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from src.data.paths import Location, RemotePath, is_complete
from src.utils.errors import UserError, one_line
from src.utils.locks import is_free, locked

log = logging.getLogger(__name__)

_LOCK = ".lock"


@contextmanager
def publish(place: Location, marker: str, overwrite: bool = False, needed: int = 0) -> Iterator[Path]:
    """Yield a local directory to fill with files; it becomes `place` when the body ends without an error.

    The directory is called `.{name}.partial-{random}` until it is complete, and is then renamed, so a killed process
    leaves nothing under the final name. A lock file next to it shows that its process is running. The next process here
    removes directories whose lock is free; forked workers of a killed process may hold the lock a little longer. On a
    file system without locks this is unknown, and such directories stay.
    A URL has no renaming of several files, so files are uploaded there, `marker` last; without that file the dataset
    does not count as existing. Raises UserError if it exists, `needed` bytes are not free or the disk is full.
    """
    local = place.staging if isinstance(place, RemotePath) else place
    partial = local.parent / f"{_prefix(local)}{uuid4().hex[:12]}"
    where = f"{partial.parent}, for {place}" if isinstance(place, RemotePath) else place
    with ExitStack() as stack:
        try:
            local.parent.mkdir(parents=True, exist_ok=True)
            clear_remains(local)
            if local.is_symlink() and not local.exists():
                raise UserError(
                    f"{local}: is a link to {local.readlink()}, which does not exist; mount it, or remove it"
                )
            if not overwrite:
                refuse_existing(place, marker)
            free = shutil.disk_usage(local.parent).free
            if needed > free:
                raise UserError(
                    f"{where}: {needed / 1e9:.3g} GB are needed, {free / 1e9:.3g} GB are free; free some space"
                )
            stack.enter_context(locked(partial.with_name(partial.name + _LOCK)))
            stack.callback(shutil.rmtree, partial, ignore_errors=True)
            partial.mkdir()
        except OSError as error:
            why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise UserError(f"{place.parent}: cannot be written ({why}); choose another directory") from error
        try:
            if isinstance(place, RemotePath):
                _require_writable(place, partial)
            yield partial
            if isinstance(place, Path):
                _rename(partial, place, overwrite)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UserError(
                    f"{where}: the disk is full, and the incomplete dataset was removed; free some space"
                ) from error
            raise
        if isinstance(place, RemotePath):
            _upload(partial, place, marker, overwrite)


def refuse_existing(place: Location, marker: str) -> None:
    """Raise UserError if a place exists."""
    if is_complete(place, marker):
        raise UserError(
            f"{place}: already exists and was not changed; give overwrite=true to replace it, or another dataset.name"
        )


def clear_remains(local: Path) -> None:
    """Remove the partial directories of killed runs, and restore a directory that a killed run was replacing."""
    prefix = _prefix(local)
    for lock in [path for path in local.parent.iterdir() if path.name.startswith(prefix) and path.suffix == _LOCK]:
        partial = lock.with_suffix("")
        replaced = _replaced(partial)
        with suppress(PermissionError):  # other users remove their own
            if not is_free(lock):
                continue
            with locked(lock):
                if os.path.lexists(replaced) and not local.exists():
                    log.warning("%s: restoring it, since the run that was replacing it was killed", local)
                    replaced.rename(local)
                for path in filter(os.path.lexists, (partial, replaced)):
                    log.warning("%s: removing what a killed run left behind", path)
                    _remove(path)


def _prefix(local: Path) -> str:
    return f".{local.name}.partial-"


def _replaced(partial: Path) -> Path:
    """Return where the directory that a partial directory replaces is kept meanwhile."""
    return partial.with_name(partial.name + "-replaced")


def _require_writable(place: RemotePath, partial: Path) -> None:
    """Raise UserError if files cannot be uploaded, before hours of rendering."""
    probe = partial / ".writable"
    probe.touch()
    try:
        (place / probe.name).upload(probe)
        (place / probe.name).unlink(missing_ok=True)  # another run may have removed the same file
    except OSError as error:
        raise UserError(f"{place.parent}: cannot be written ({error}); choose another directory") from error
    probe.unlink()


def _rename(partial: Path, directory: Path, overwrite: bool) -> None:
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    replaced = _replaced(partial)
    try:
        if overwrite and directory.exists():
            with suppress(FileNotFoundError):  # another run has moved it away meanwhile
                directory.rename(replaced)
        partial.rename(directory)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise UserError(
                f"{directory}: another run has created it in the meantime, and its files are kept"
            ) from error
        raise
    finally:
        if replaced.exists() and not directory.exists():
            replaced.rename(directory)
        _remove(replaced)


def _upload(partial: Path, place: RemotePath, marker: str, overwrite: bool) -> None:
    """Upload files; a failure removes none of them, since another run may be uploading the same files."""
    names = sorted(path.name for path in partial.iterdir() if path.name != marker)
    try:
        if overwrite:
            (place / marker).unlink(missing_ok=True)
        _refuse_faster(place, marker, overwrite)
        for name in names:
            (place / name).upload(partial / name)
        _refuse_faster(place, marker, overwrite)
        for path in place.iterdir():
            on_its_way = ".partial-" in path.name and not overwrite  # another run's
            if path.name not in (*names, marker) and not on_its_way and path.is_file():
                path.unlink(missing_ok=True)
        (place / marker).upload(partial / marker)
    except OSError as error:
        raise UserError(
            f"{place}: could not be uploaded ({one_line(error)}); run the same command again, "
            "or make it in shards, so that a failure loses only one"
        ) from error


def _refuse_faster(place: RemotePath, marker: str, overwrite: bool) -> None:
    if not overwrite and (place / marker).is_file():
        raise UserError(f"{place}: another run has created it in the meantime, and its files are kept")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)  # a link to a dataset kept elsewhere
