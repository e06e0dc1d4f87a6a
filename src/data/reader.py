"""Opening a VIMH directory: memory maps, and every check that can be made before training."""

import hashlib
import logging
from pathlib import Path

import numpy as np

from src.data.pickles import read_pickle
from src.data.records import CURRENT_METADATA_BYTES, OLD_METADATA_BYTES, Records, record_bytes
from src.data.spec import DatasetSpec
from src.utils.errors import UserError

log = logging.getLogger(__name__)

_CHUNK = 65536  # records checked at a time: a few MB of headers
_REMEDY = "restore the file or make the dataset again"


def open_split(directory: Path, split: str, spec: DatasetSpec, verify: bool = False) -> Records:
    """Map one split's records after checking every header; UserError is one line.

    It names the file, the record, what was found and what was expected. Reading never writes.
    """
    path = directory / split
    if not path.is_file():
        twin = directory / f"{split}_batch"
        if not twin.is_file():
            raise UserError(f"{path}: no such file; {_REMEDY}")
        records = read_pickle(twin, spec.image_shape, len(spec.space))
    else:
        records = _open_binary(path, spec)
    if spec.counts.get(split, len(records)) != len(records):
        raise UserError(f"{path}: {len(records)} records, the JSON says {spec.counts[split]}; {_REMEDY}")
    if verify:
        _verify_checksum(path, spec.sha256.get(split))
    return records


def open_exact_values(directory: Path, split: str, count: int, num_parameters: int) -> np.ndarray | None:
    """Map `{split}_params.npy`, (n, P) float32 physical values; None where a dataset has none."""
    path = directory / f"{split}_params.npy"
    if not path.is_file():
        return None
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: not a readable .npy file ({error}); {_REMEDY}") from error
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.shape != (count, num_parameters):
        found = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise UserError(f"{path}: {found} found, float32 {(count, num_parameters)} expected; {_REMEDY}")
    for start in range(0, count, _CHUNK):
        finite = np.isfinite(values[start : start + _CHUNK]).all(axis=1)
        if not finite.all():
            raise UserError(f"{path}: row {start + int(np.argmin(finite))} is not finite; {_REMEDY}")
    return values


def has_split(directory: Path, split: str) -> bool:
    """Tell whether a split's records, or their pickle twin, are there."""
    return (directory / split).is_file() or (directory / f"{split}_batch").is_file()


def _open_binary(path: Path, spec: DatasetSpec) -> Records:
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{path}: 0 bytes; {_REMEDY}")
    data = np.memmap(path, np.uint8, mode="r")
    metadata_bytes = _find_metadata_bytes(path, data, spec)
    image_bytes = int(np.prod(spec.image_shape, dtype=np.int64))
    stride = record_bytes(metadata_bytes, len(spec.space), image_bytes)
    ids = _first_ids(path, data, metadata_bytes, len(spec.space))
    fault = _first_fault(data, stride, metadata_bytes, ids, spec.image_shape) if size % stride == 0 else None
    order = np.asarray(ids, np.int64)
    if size % stride == 0 and fault is None:
        return Records(data, metadata_bytes, order, np.array([spec.image_shape], np.uint16))
    index = _index_by_walking(data, metadata_bytes, ids, spec.image_shape[0])
    if index is not None:
        log.info("%s: its records differ in shape; batches are made of one shape each", path)
        return Records(data, metadata_bytes, order, *index)
    if fault is None:
        whole, rest = divmod(size, stride)
        raise UserError(f"{path}: {size} bytes is {whole} records of {stride} and {rest} bytes over; {_REMEDY}")
    raise UserError(f"{path}: {fault}; {_REMEDY}")


def _find_metadata_bytes(path: Path, data: np.ndarray, spec: DatasetSpec) -> int:
    """Return 14 or 6, by the JSON where the file agrees, else by the file, with a warning."""
    image_bytes = int(np.prod(spec.image_shape, dtype=np.int64))
    stated = spec.metadata_bytes or CURRENT_METADATA_BYTES
    for candidate in (stated, CURRENT_METADATA_BYTES + OLD_METADATA_BYTES - stated):
        stride = record_bytes(candidate, len(spec.space), image_bytes)
        if len(data) % stride == 0 and data[candidate] == len(spec.space):
            if candidate != spec.metadata_bytes:
                said = "says nothing" if spec.metadata_bytes is None else f"says {spec.metadata_bytes}"
                log.warning("%s: the JSON %s on metadata_bytes, the file's size means %d", path, said, candidate)
            return candidate
    return stated


def _first_ids(path: Path, data: np.ndarray, metadata_bytes: int, num_parameters: int) -> list[int]:
    first = metadata_bytes + 1
    if len(data) < first + 2 * num_parameters:
        raise UserError(f"{path}: {len(data)} bytes hold no whole record; {_REMEDY}")
    if data[metadata_bytes] != num_parameters:
        raise UserError(f"{path}: record 0 has {data[metadata_bytes]} labels, {num_parameters} expected; {_REMEDY}")
    ids = data[first : first + 2 * num_parameters : 2].tolist()
    if sorted(ids) != list(range(num_parameters)):
        raise UserError(f"{path}: record 0 has label ids {ids}, 0..{num_parameters - 1} expected; {_REMEDY}")
    return ids


def _first_fault(
    data: np.ndarray, stride: int, metadata_bytes: int, ids: list[int], image_shape: tuple[int, int, int]
) -> str | None:
    """Say what is wrong with the first record whose header differs, or None; vectorised, in chunks."""
    channels, height, width = image_shape
    rows = data.reshape(-1, stride)
    first = metadata_bytes + 1
    expected = np.frombuffer(np.array([height, width, channels], "<u2").tobytes(), np.uint8)
    for start in range(0, len(rows), _CHUNK):
        # one copy of the few header bytes touches each page once, whatever is then asked of them
        head = np.ascontiguousarray(rows[start : start + _CHUNK, : first + 2 * len(ids)])
        pairs = head[:, first::2]
        bad = (head[:, :6] != expected).any(axis=1) | (head[:, metadata_bytes] != len(ids)) | (pairs != ids).any(axis=1)
        if metadata_bytes == CURRENT_METADATA_BYTES:
            scale = np.ascontiguousarray(head[:, 6:14]).view("<f4")
            bad |= ~np.isfinite(scale).all(axis=1) | (scale[:, 0] > scale[:, 1])
        if bad.any():
            at = int(np.argmax(bad))
            found_height, found_width, found_channels = head[at, :6].copy().view("<u2").tolist()
            found = f"{found_height}x{found_width}x{found_channels}"
            found += f", labels {head[at, metadata_bytes]}, ids {pairs[at].tolist()}"
            if metadata_bytes == CURRENT_METADATA_BYTES:
                found += f", dB range {scale[at].tolist()}"
            return (
                f"record {start + at} has {found}; {height}x{width}x{channels}, labels {len(ids)}, ids {ids} expected"
            )
    return None


def _index_by_walking(
    data: np.ndarray, metadata_bytes: int, ids: list[int], channels: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return shapes (n, 3) and offsets (n,) when the file is a chain of records of differing shape."""
    offsets, shapes, position = [], [], 0
    first, pairs = metadata_bytes + 1, 2 * len(ids)
    while position + first + pairs <= len(data):
        head = bytes(data[position : position + first + pairs])
        height, width, found = (int.from_bytes(head[at : at + 2], "little") for at in (0, 2, 4))
        if found != channels or not height * width or head[metadata_bytes] != len(ids) or list(head[first::2]) != ids:
            return None
        offsets.append(position)
        shapes.append((channels, height, width))
        position += first + pairs + channels * height * width
    if position != len(data):
        return None
    return np.array(shapes, np.uint16), np.array(offsets, np.int64)


def _verify_checksum(path: Path, expected: str | None) -> None:
    if expected is None:
        log.warning("%s: the JSON holds no checksum, so it was not verified", path)
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise UserError(f"{path}: sha256 {found[:12]}... found, {expected[:12]}... expected; {_REMEDY}")
