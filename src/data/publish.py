"""Directories that are seen whole or not at all, on this machine and at URLs."""

import errno
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from src.data.paths import Place, RemotePath, is_whole
from src.utils.errors import UserError

log = logging.getLogger(__name__)


@contextmanager
def publish(place: Place, marker: str, overwrite: bool = False, needed: int = 0) -> Iterator[Path]:
    """Give a local directory to fill with files; it becomes `place` when the body ends without an error.

    A directory is renamed, from `.{name}.partial-{host}-{pid}` beside it, so that a process that is
    killed outright leaves nothing under the final name; the next one here clears the remains away.
    To a URL, which knows no renaming of many files at once, files are uploaded, `marker` last:
    without it nothing counts as there. UserError: it exists, `needed` bytes are not free, the disk is full.
    """
    local = place.staging if isinstance(place, RemotePath) else place
    partial = local.parent / f".{local.name}.partial-{platform.node()}-{os.getpid()}"
    try:
        local.parent.mkdir(parents=True, exist_ok=True)
        _remove_dead_partials(local.parent, local.name)
        _refuse(place, partial, marker, overwrite, needed)
        partial.mkdir()
    except OSError as error:
        why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise UserError(f"{place.parent}: cannot be written ({why}); choose another place") from error
    try:
        if isinstance(place, RemotePath):
            _require_writable(place, partial)
        yield partial
        if isinstance(place, RemotePath):
            _upload(partial, place, marker, overwrite)
        else:
            _rename(partial, place, overwrite)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{place}: the disk is full; nothing was kept, make room") from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse(place: Place, partial: Path, marker: str, overwrite: bool, needed: int) -> None:
    if not overwrite and is_whole(place, marker):
        raise UserError(f"{place}: exists and is not touched; pass overwrite=true or another dataset.name")
    if partial.exists():
        raise UserError(f"{partial}: exists; remove it, unless a run is still writing to it")
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        where = place if isinstance(place, Path) else f"{partial.parent}, for {place}"
        raise UserError(f"{where}: {needed / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free; make room")


def _require_writable(place: RemotePath, partial: Path) -> None:
    """UserError now, and not after hours of rendering, when files could not be uploaded."""
    probe = partial / ".writable"
    probe.touch()
    try:
        (place / probe.name).upload(probe)
        (place / probe.name).unlink()
    except OSError as error:
        raise UserError(f"{place.parent}: cannot be written ({error}); choose another place") from error
    probe.unlink()


def _rename(partial: Path, directory: Path, overwrite: bool) -> None:
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    replaced = partial.with_name(partial.name + "-replaced")
    try:
        if overwrite and directory.exists():
            with suppress(FileNotFoundError):  # another run has moved it away meanwhile
                directory.rename(replaced)
        partial.rename(directory)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise UserError(f"{directory}: another run made it meanwhile; its files were kept") from error
        raise
    finally:
        if replaced.exists() and not directory.exists():
            replaced.rename(directory)
        _remove(replaced)


def _upload(partial: Path, place: RemotePath, marker: str, overwrite: bool) -> None:
    """Upload files, none of them removed after a failure: another run may be uploading the same ones."""
    if overwrite:
        (place / marker).unlink(missing_ok=True)
    elif (place / marker).is_file():
        raise UserError(f"{place}: another run made it meanwhile; its files were kept")
    names = sorted(path.name for path in partial.iterdir() if path.name != marker)
    for name in names:
        (place / name).upload(partial / name)
    for path in [path for path in place.iterdir() if path.name not in names and path.is_file()]:
        path.unlink(missing_ok=True)
    (place / marker).upload(partial / marker)


def _remove_dead_partials(parent: Path, name: str) -> None:
    """Clear what killed processes of this machine left behind."""
    prefix = f".{name}.partial-{platform.node()}-"
    for path in [path for path in parent.iterdir() if path.name.startswith(prefix)]:
        pid = path.name.removeprefix(prefix).removesuffix("-replaced")
        if pid.isdecimal() and not _is_running(int(pid)):
            if path.name.endswith("-replaced") and not (parent / name).exists():
                log.warning("%s: restoring it, since the run that was replacing it was killed", parent / name)
                path.rename(parent / name)
                continue
            log.warning("%s: removing what a killed run left behind", path)
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)  # a link to a dataset kept elsewhere


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
