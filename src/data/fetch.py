"""Local copies of datasets at URLs: training maps files into memory, which only local ones can be."""

import hashlib
import logging
from pathlib import Path

from src.data.paths import Place, RemotePath, lock_file
from src.data.publish import publish
from src.data.reader import verify_checksum
from src.data.recipe import SPLITS
from src.data.spec import INFO_FILE, MAX_INFO_BYTES, parse_spec
from src.utils.errors import UserError
from src.utils.locks import locked

log = logging.getLogger(__name__)


def fetch(place: Place) -> Path:
    """Return a dataset's local directory: the one given, or of a URL a copy below its `cache_dir`, made once.

    Only the description is fetched again each time: another one, for another dataset, has another copy.
    UserError, one line: nothing is there, or it is not what its description says.
    """
    return _local_copy(place) if isinstance(place, RemotePath) else place


def _local_copy(place: RemotePath) -> Path:
    info = place / INFO_FILE
    if not info.is_file():
        raise UserError(f"{place}: holds no {INFO_FILE}; give a VIMH directory, or make one with generate_vimh.py")
    if info.size() > MAX_INFO_BYTES:
        raise UserError(f"{info}: {info.size()} bytes is no description; make the dataset again")
    content = info.read_bytes()
    expected = parse_spec(content, info).sha256
    key = hashlib.sha256(place.url.encode() + b"\0" + content).hexdigest()[:16]
    directory = place.cache_dir / key / place.name
    with locked(lock_file(directory)):  # the processes of a run come here all at once
        if not directory.is_dir():
            log.info("%s: copying it to %s", place, directory)
            _copy(place, directory, content, expected)
    return directory


def _copy(place: RemotePath, directory: Path, info: bytes, checksums: dict[str, str]) -> None:
    files = {path.name: path for path in place.iterdir()}
    names = [name for split in SPLITS for name in _names(split, files)]
    with publish(directory, INFO_FILE, needed=sum(files[name].size() for name in names)) as partial:
        for name in names:
            files[name].download(partial / name)
            verify_checksum(partial / name, checksums.get(name), files[name])
        (partial / INFO_FILE).write_bytes(info)


def _names(split: str, files: dict[str, RemotePath]) -> list[str]:
    """Return which files of a split are needed: records or, where there are none, their pickle twin; exact values."""
    records = split if split in files else f"{split}_batch"
    return [name for name in (records, f"{split}_params.npy") if name in files]
