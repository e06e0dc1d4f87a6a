"""Local copies of datasets at URLs: training memory-maps files, which must be local."""

import hashlib
import logging
from pathlib import Path

from src.data.info import INFO_FILE, MAX_INFO_BYTES, parse_spec
from src.data.paths import Location, RemotePath, lock_file
from src.data.publish import publish
from src.data.recipe import SPLITS
from src.data.spec import DatasetSpec
from src.data.vimh.reader import verify_checksum
from src.utils.errors import UserError
from src.utils.locks import locked

log = logging.getLogger(__name__)


def fetch(place: Location) -> Path:
    """Return a dataset's local directory: a local path itself, or for a URL a copy in its `cache_dir`, made once.

    Only the description is fetched each time: a changed description belongs to another dataset and has its own copy.
    Raises UserError, one line, if there is no dataset or its files do not match its description.
    """
    if isinstance(place, Path):
        return place
    info = place / INFO_FILE
    if not info.is_file():
        raise UserError(f"{place}: holds no {INFO_FILE}; give a VIMH directory, or make one with generate_vimh.py")
    content = info.read_bytes(MAX_INFO_BYTES)
    spec = parse_spec(content, info)
    key = hashlib.sha256(place.url.encode() + b"\0" + content).hexdigest()[:16]
    directory = place.cache_dir / key / place.name
    with locked(lock_file(directory)):  # all processes of a run call this at the same time
        if not directory.is_dir():
            log.info("copying %s to %s", place, directory)
            try:
                _copy(place, directory, content, spec)
            except UserError:
                if not directory.is_dir():  # without locks, another process may have copied it
                    raise
    return directory


def _copy(place: RemotePath, directory: Path, info: bytes, spec: DatasetSpec) -> None:
    files = {file: file.size() for file in _files(place, spec)}
    with publish(directory, INFO_FILE, needed=sum(files.values())) as partial:
        for file, size in files.items():
            file.download(partial / file.name, size)
            verify_checksum(partial / file.name, spec.sha256.get(file.name), file)
        (partial / INFO_FILE).write_bytes(info)


def _files(place: RemotePath, spec: DatasetSpec) -> list[RemotePath]:
    """Return each split's records, or otherwise its pickle copy, and its exact values.

    Raises UserError if the description names a file that is missing.
    """
    found, missing = [], []
    named = spec.sha256.keys() | {split for split, count in spec.counts.items() if count}
    for split in SPLITS:
        for names in ((split, f"{split}_batch"), (f"{split}_params.npy",)):
            if present := next((place / name for name in names if (place / name).is_file()), None):
                found.append(present)
            elif named & {*names}:
                missing.append(names[0])
    if missing:
        raise UserError(f"{place}: lacks {', '.join(missing)}, which its {INFO_FILE} names; upload it again")
    return found
