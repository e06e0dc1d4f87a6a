"""Where datasets are: a directory, or a URL of any file system that fsspec knows (s3://, gs://, memory://)."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import url2pathname
from uuid import uuid4

from src.utils.errors import UserError, one_line

if TYPE_CHECKING:  # imported for URLs alone: a local path should not wait for it
    from fsspec import AbstractFileSystem

CACHE_DIR = "data/cache"
_BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oci", "oss"}  # stores that have no directories to make


@dataclass(frozen=True)
class RemotePath:
    """A path at a URL: the few methods of pathlib.Path that datasets need.

    Credentials and endpoints are fsspec's affair: the environment, or its configuration files.
    """

    url: str
    cache_dir: Path  # local: holds what is on its way to the URL, and copies of what was read from it

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url}/{name}", self.cache_dir)

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        return RemotePath(self.url.rpartition("/")[0], self.cache_dir)

    @property
    def staging(self) -> Path:
        """Return the local path beside which files are made before they are uploaded."""
        return self.cache_dir / f"{self.name}-{hashlib.sha256(self.url.encode()).hexdigest()[:16]}"

    def _connect(self) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs

        try:
            return url_to_fs(self.url)
        except ImportError as error:
            package = getattr(error.__cause__, "name", None) or error.name
            raise UserError(f"{self.url}: {package} is not installed; uv pip install {package}") from error
        except ValueError as error:
            raise UserError(f"{self.url}: no file system that fsspec knows ({error})") from error

    @contextmanager
    def _reach(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        """Give the file system and the path in it; UserError when the store does not let us in."""
        try:
            yield self._connect()
        except (PermissionError, ConnectionError, TimeoutError, *_refusals()) as error:
            raise UserError(
                f"{self.url}: cannot be reached ({one_line(error)}); see your credentials for it"
            ) from error

    def is_file(self) -> bool:
        """Tell whether a file is there; whatever else keeps it from being seen is an error."""
        with self._reach() as (filesystem, path):
            try:
                filesystem.invalidate_cache()  # another machine may have written since
                return filesystem.info(path)["type"] == "file"
            except (FileNotFoundError, NotADirectoryError):
                return False

    def size(self) -> int:
        with self._reach() as (filesystem, path):
            return filesystem.size(path)

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield what is directly below, nothing where nothing is."""
        with self._reach() as (filesystem, path):
            filesystem.invalidate_cache()  # another machine may have written since
            try:
                found = filesystem.ls(path, detail=False)
            except FileNotFoundError:
                found = []
        yield from (self / name.rstrip("/").rpartition("/")[2] for name in found)

    def open(self, mode: str = "rb") -> io.IOBase:
        with self._reach() as (filesystem, path):
            return filesystem.open(path, mode)

    def read_bytes(self) -> bytes:
        with self._reach() as (filesystem, path):
            return filesystem.cat_file(path)

    def upload(self, source: Path) -> None:
        """Put a whole local file here, which is seen whole or not at all where the file system can rename."""
        with self._reach() as (filesystem, path):
            protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
            if _BUCKETS & set(protocols):  # what is put there is seen whole, and no bucket made of a mistyped name
                filesystem.put_file(str(source), path)
                return
            directory, _, name = path.rpartition("/")
            partial = f"{directory}/.{name}.partial-{uuid4().hex[:12]}"  # its own: two may upload the same file
            filesystem.makedirs(directory, exist_ok=True)
            filesystem.put_file(str(source), partial)
            with suppress(FileNotFoundError):
                filesystem.rm_file(path)  # not every file system lets a renamed file replace another
            filesystem.mv(partial, path)

    def download(self, target: Path) -> None:
        """Fetch the whole file into a local one."""
        with self._reach() as (filesystem, path):
            filesystem.get_file(path, str(target))

    def unlink(self, missing_ok: bool = False) -> None:
        with self._reach() as (filesystem, path):
            try:
                filesystem.rm_file(path)
            except FileNotFoundError:
                if not missing_ok:
                    raise


def _refusals() -> list[type[Exception]]:
    """Return what the stores' own libraries, those that are loaded, raise beside OSError."""
    named = [
        ("botocore.exceptions", "BotoCoreError"),
        ("google.auth.exceptions", "GoogleAuthError"),
        ("azure.core.exceptions", "AzureError"),
    ]
    return [getattr(sys.modules[module], name) for module, name in named if module in sys.modules]


Place = Path | RemotePath


def to_place(given: str | Path, cache_dir: str | Path = CACHE_DIR) -> Place:
    """Return a Path for a local path or a file:// URL, else a RemotePath; UserError when fsspec cannot go there."""
    if isinstance(given, Path) or "://" not in given:
        return Path(given)
    if given.startswith("file://"):
        return Path(url2pathname(given.removeprefix("file://")))
    place = RemotePath(given.rstrip("/"), Path(cache_dir))
    place._connect()
    return place


def lock_file(place: Place) -> Path:
    """Return the local file to lock while a place is made."""
    local = place.staging if isinstance(place, RemotePath) else place
    return local.with_name(f".{local.name}.lock")


def is_whole(place: Place, marker: str) -> bool:
    """Tell whether there is something at a place: a local directory, or a URL with the file that is written last."""
    return place.exists() if isinstance(place, Path) else (place / marker).is_file()
