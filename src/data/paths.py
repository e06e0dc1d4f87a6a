"""Places of datasets: a local directory, or a URL of a file store (s3://, gs://, https://)."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any
from urllib.request import url2pathname
from uuid import uuid4

from src.utils.errors import UserError, one_line, shown

if TYPE_CHECKING:  # imported only for URLs, since it is slow
    from fsspec import AbstractFileSystem

CACHE_DIR = "data/cache"
# only file stores: other schemes of fsspec open archives, run Python or a shell, or refer to another URL
SCHEMES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "http", "https", "sftp", "memory"}
_LONGEST_URL = 2048
_LONGEST_PART = 255  # of the part that becomes a file name
_BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oci", "oss"}  # stores without directories
_UNFIT = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)  # for invalid URLs


@dataclass(frozen=True)
class RemotePath:
    """A path at a URL, with the few methods of pathlib.Path that datasets need.

    fsspec takes credentials and endpoints from the environment or its configuration files.
    """

    url: str
    cache_dir: Path  # local: holds files to upload to the URL, and copies of files read from it

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
        """Return the local path next to which files are written before they are uploaded."""
        return self.cache_dir / f"{self.name}-{hashlib.sha256(self.url.encode()).hexdigest()[:16]}"

    def _connect(self) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs

        try:
            return url_to_fs(self.url)
        except ImportError as error:
            package = getattr(error.__cause__, "name", None) or error.name
            raise UserError(
                f"{self.url}: {package} is not installed; install it with: uv pip install {package}"
            ) from error
        except _UNFIT as error:
            raise UserError(f"{self.url}: not a valid address of a store ({one_line(error)}); give another") from error

    @contextmanager
    def _reach(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        """Yield the file system and the path in it; raise UserError if the store refuses access."""
        try:
            yield self._connect()
        except UserError:
            raise
        except _refusals() as error:
            raise UserError(
                f"{self.url}: cannot be reached ({one_line(error)}); check your credentials for it"
            ) from error
        except _UNFIT as error:
            raise UserError(
                f"{self.url}: the store does not support this operation ({one_line(error)}); give another URL"
            ) from error

    def is_file(self) -> bool:
        """Return whether the file exists; raise UserError if this cannot be determined."""
        with self._reach() as (filesystem, path):
            try:
                filesystem.invalidate_cache()  # another machine may have written since
                return filesystem.info(path)["type"] == "file"
            except (FileNotFoundError, NotADirectoryError):
                return False

    def size(self) -> int:
        """Return a file's size in bytes; raise UserError if it is unknown, since a download would have no bound."""
        with self._reach() as (filesystem, path):
            size = filesystem.size(path)
        if not isinstance(size, int):
            raise UserError(f"{self.url}: its store does not report the file's size; copy it to a disk first")
        return size

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield the entries of this directory, none if it does not exist."""
        with self._reach() as (filesystem, path):
            filesystem.invalidate_cache()  # another machine may have written since
            try:
                found = filesystem.ls(path, detail=False)
            except FileNotFoundError:
                found = []
        yield from (self / name.rstrip("/").rpartition("/")[2] for name in found)

    def open(self, mode: str = "rb") -> IO[Any]:
        with self._reach() as (filesystem, path):
            return filesystem.open(path, mode)

    def read_bytes(self, most: int | None = None) -> bytes:
        """Return the file's contents; raise UserError if it has more than `most` bytes."""
        size = self.size()
        if most is not None and size > most:
            raise UserError(f"{self.url}: {size} bytes is too large, the maximum is {most}; make it again")
        with TemporaryDirectory() as folder:
            self.download(local := Path(folder) / "file", size)
            return local.read_bytes()

    def upload(self, source: Path) -> None:
        """Upload a local file, which appears completely or not at all if the file system can rename."""
        with self._reach() as (filesystem, path):
            protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
            if _BUCKETS & set(protocols):  # uploads are atomic; a mistyped bucket is not created
                filesystem.put_file(str(source), path)
                return
            directory, _, name = path.rpartition("/")
            partial = f"{directory}/.{name}.partial-{uuid4().hex[:12]}"  # unique: two may upload the same file
            filesystem.makedirs(directory, exist_ok=True)
            filesystem.put_file(str(source), partial)
            with suppress(FileNotFoundError):
                filesystem.rm_file(path)  # not every file system lets a renamed file replace another
            filesystem.mv(partial, path)

    def download(self, target: Path, size: int) -> None:
        """Download the file to a local file; raise UserError if the store sends another number of bytes than `size`.

        A small compressed response could otherwise fill the memory or the disk.
        """
        from fsspec.callbacks import Callback

        def check(_: int | None, received: int) -> None:
            if received > size:
                raise UserError(f"{self.url}: its store sends more than the {size} bytes it states; upload it again")

        with self._reach() as (filesystem, path):
            filesystem.get_file(path, str(target), callback=Callback(hooks={"check": check}))
        check(None, found := target.stat().st_size)
        if found < size:
            raise UserError(f"{self.url}: its store sends {found} of {size} bytes; try again, or upload it again")

    def unlink(self, missing_ok: bool = False) -> None:
        with self._reach() as (filesystem, path):
            try:
                filesystem.rm_file(path)
            except FileNotFoundError:
                if not missing_ok:
                    raise


def _refusals() -> tuple[type[BaseException], ...]:
    """Return the exceptions with which stores refuse access, those of loaded libraries included."""
    named = [
        ("botocore.exceptions", "BotoCoreError"),
        ("google.auth.exceptions", "GoogleAuthError"),
        ("azure.core.exceptions", "AzureError"),
        ("aiohttp", "ClientError"),
        ("paramiko.ssh_exception", "SSHException"),
    ]
    loaded = [getattr(sys.modules[module], name) for module, name in named if module in sys.modules]
    return (PermissionError, ConnectionError, TimeoutError, *loaded)


Location = Path | RemotePath


def to_location(given: str | Path, cache_dir: str | Path = CACHE_DIR) -> Location:
    """Return a Path for a local path or a file:// URL, otherwise a RemotePath; raise UserError for another URL."""
    if isinstance(given, Path) or "://" not in given:
        return _local(str(given))
    if given.startswith("file://"):
        return _local(url2pathname(given.removeprefix("file://")))
    _require_store(given)
    place = RemotePath(given.rstrip("/"), Path(cache_dir))
    with place._reach():  # reports a missing package before any work
        return place


def _local(path: str) -> Path:
    if "\0" in path:
        raise UserError(f"{shown(path)}: a path cannot contain NUL; give another")
    return Path(path)


def _require_store(url: str) -> None:
    """Raise UserError for a URL with an unsupported scheme, one chained to another URL, or one without a plain path."""
    scheme, _, path = url.partition("://")
    if "::" in url:
        raise UserError(f"{shown(url)}: chained URLs (::) are not supported; give a plain one")
    if scheme not in SCHEMES:
        known = ", ".join(sorted(SCHEMES))
        raise UserError(
            f"{shown(url)}: scheme {shown(scheme, 40)} is not supported; give a path, or a URL with one of {known}"
        )
    parts = path.rstrip("/").split("/")
    if not url.isprintable() or len(url) > _LONGEST_URL or not parts[-1] or {".", ".."} & set(parts):
        raise UserError(f"{shown(url)}: not a plain address; give a URL such as s3://bucket/data, without . and ..")
    if len(parts[-1].encode(errors="replace")) > _LONGEST_PART:
        raise UserError(f"{shown(url)}: its last part is too long for a file name; give a shorter one")


def lock_file(place: Location) -> Path:
    """Return the local file to lock while a place is written."""
    local = place.staging if isinstance(place, RemotePath) else place
    return local.with_name(f".{local.name}.lock")


def is_complete(place: Location, marker: str) -> bool:
    """Return whether a place exists: a local directory, or a URL with the file that is written last."""
    return place.exists() if isinstance(place, Path) else (place / marker).is_file()
