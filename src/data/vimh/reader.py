"""Open a VIMH directory: memory maps, and all checks that are possible before training."""

import hashlib
import logging
import struct
import tokenize
from array import array
from pathlib import Path

import numpy as np

from src.data.spec import DatasetSpec
from src.data.vimh.pickles import read_pickle
from src.data.vimh.records import CURRENT_METADATA_BYTES, OLD_METADATA_BYTES, Records, record_bytes
from src.parameters.space import BYTE_LEVELS
from src.utils.errors import UserError
from src.utils.files import require_content

log = logging.getLogger(__name__)

_CHUNK = 65536  # records checked at a time: a few MB of headers
_MOST_STEPS = 1.001  # between a value and its byte code: other programs may cut off instead of rounding
_REMEDY = "restore the file or make the dataset again"
_PARSER_ERRORS = (tokenize.TokenError, OverflowError, MemoryError, RecursionError)  # numpy parses the header as Python


def open_split(directory: Path, split: str, spec: DatasetSpec, verify: bool = False) -> Records:
    """Map one split's records after checking every header; a UserError is one line.

    It names the file, the record, the value found and the value expected. Reading never writes.
    """
    if not has_split(directory, split):
        raise UserError(f"{directory / split}: no such file; {_REMEDY}")
    path = directory / split
    if path.is_file():
        require_content(path, _REMEDY)
        records = _open_binary(path, spec)
    else:
        path = directory / f"{split}_batch"
        require_content(path, _REMEDY)
        records = read_pickle(path, spec.image_shape, len(spec.space), _scale_of_all(spec))
    if spec.counts.get(split, len(records)) != len(records):
        raise UserError(f"{path}: {len(records)} records, the JSON says {spec.counts[split]}; {_REMEDY}")
    if verify:
        verify_checksum(path, spec.sha256.get(path.name))
    return records


def open_exact_values(
    directory: Path, split: str, spec: DatasetSpec, records: Records, verify: bool = False
) -> np.ndarray | None:
    """Map `{split}_params.npy`, (n, P) float32 physical values; return None if a dataset does not have it.

    Raises UserError, one line, if the JSON names a missing file, or if a value does not agree with its record's byte
    code.
    """
    path = directory / f"{split}_params.npy"
    if not path.is_file():
        if path.name in spec.sha256:
            raise UserError(f"{path}: no such file, but the JSON names it; {_REMEDY}")
        return None
    require_content(path, _REMEDY)
    try:
        values = np.lib.format.open_memmap(path, mode="r")
    except (*(ValueError, OSError, SyntaxError, TypeError, LookupError), *_PARSER_ERRORS) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable .npy file ({reason[:200]}); {_REMEDY}") from error
    expected = (len(records), len(spec.space))
    if values.dtype != np.float32 or values.shape != expected:
        raise UserError(f"{path}: {values.dtype} {values.shape} found, float32 {expected} expected; {_REMEDY}")
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        finite = np.isfinite(chunk).all(axis=1)
        if not finite.all():
            raise UserError(f"{path}: row {start + int(np.argmin(finite))} is not finite; {_REMEDY}")
        codes = records.codes(np.arange(start, start + len(chunk)))
        apart = np.abs(BYTE_LEVELS * spec.space.normalize(chunk) - codes)
        if (apart > _MOST_STEPS).any():
            row, column = np.argwhere(apart > _MOST_STEPS)[0]
            found, name = f"{chunk[row, column]:g}", spec.space.names[column]
            held = f"{spec.space.from_byte(codes[row])[column]:g}"
            raise UserError(f"{path}: row {start + row} has {name} {found}, its record holds {held}; {_REMEDY}")
    if verify:
        verify_checksum(path, spec.sha256.get(path.name))
    return values


def has_split(directory: Path, split: str) -> bool:
    """Return whether a split's records or their pickle copy exist."""
    return (directory / split).is_file() or (directory / f"{split}_batch").is_file()


def _scale_of_all(spec: DatasetSpec) -> np.ndarray | None:
    """Return (2,) float32 spec_min, spec_max of every record if the JSON says that scaling is global, else None."""
    spectral = spec.origin.spectral
    if spectral is None or spectral.image_scaling != "global":
        return None
    return np.array([spectral.floor_db, spectral.ceil_db], np.float32)


def _open_binary(path: Path, spec: DatasetSpec) -> Records:
    """Map a file with the metadata_bytes of the JSON or, with a warning, those that fit the file."""
    data = np.memmap(path, np.uint8, mode="r")
    stated = spec.metadata_bytes or CURRENT_METADATA_BYTES
    faults = []
    for metadata_bytes in (stated, CURRENT_METADATA_BYTES + OLD_METADATA_BYTES - stated):
        found = _lay_out(data, metadata_bytes, spec)
        if isinstance(found, str):
            faults.append(found)
            continue
        if metadata_bytes != spec.metadata_bytes:
            json_text = "lacks metadata_bytes" if spec.metadata_bytes is None else f"says metadata_bytes {stated}"
            log.warning("%s: the JSON %s, the file has %d", path, json_text, metadata_bytes)
        if found.offsets is not None:
            log.info("%s: its records differ in shape, so each batch contains records of one shape", path)
        return found
    raise UserError(f"{path}: {faults[0]}; {_REMEDY}")


def _lay_out(data: np.ndarray, metadata_bytes: int, spec: DatasetSpec) -> Records | str:
    """Return the records if all headers agree with the JSON, otherwise a description of the fault."""
    first, count = metadata_bytes + 1, len(spec.space)
    if len(data) < first + 2 * count:
        return f"{len(data)} bytes are less than one record"
    if data[metadata_bytes] != count:
        return f"record 0 has {data[metadata_bytes]} labels, {count} expected"
    ids = data[first : first + 2 * count : 2].tolist()
    if sorted(ids) != list(range(count)):
        return f"record 0 has label ids {ids}, 0..{count - 1} expected"
    order = np.asarray(ids, np.int64)
    stride = record_bytes(metadata_bytes, count, int(np.prod(spec.image_shape, dtype=np.int64)))
    whole, rest = divmod(len(data), stride)
    fault = f"{len(data)} bytes is {whole} records of {stride} bytes and a remainder of {rest}"
    if rest == 0:
        found = _first_fault(data, stride, metadata_bytes, ids, spec)
        if found is None:
            return Records(data, metadata_bytes, order, np.array([spec.image_shape], np.uint16))
        fault = found
    index = _index_by_walking(data, metadata_bytes, ids, spec.image_shape[0])
    if index is None:
        return fault
    shapes, offsets = index
    if (shapes == shapes[0]).all():
        found, expected = ("x".join(map(str, (h, w, c))) for c, h, w in (shapes[0], spec.image_shape))
        return f"every image is {found}, the JSON says {expected}"
    return Records(data, metadata_bytes, order, shapes, offsets)


def _first_fault(data: np.ndarray, stride: int, metadata_bytes: int, ids: list[int], spec: DatasetSpec) -> str | None:
    """Describe the first record whose header is wrong, or return None; vectorised, in chunks."""
    channels, height, width = spec.image_shape
    scale_of_all = _scale_of_all(spec)
    rows = data.reshape(-1, stride)
    first = metadata_bytes + 1
    sides = np.frombuffer(np.array([height, width, channels], "<u2").tobytes(), np.uint8)
    for start in range(0, len(rows), _CHUNK):
        # a copy of the few header bytes reads each page only once
        head = np.ascontiguousarray(rows[start : start + _CHUNK, : first + 2 * len(ids)])
        pairs = head[:, first::2]
        bad = (head[:, :6] != sides).any(axis=1) | (head[:, metadata_bytes] != len(ids)) | (pairs != ids).any(axis=1)
        if metadata_bytes == CURRENT_METADATA_BYTES:
            scale = np.ascontiguousarray(head[:, 6:14]).view("<f4")
            bad |= ~_is_range(scale)
            if scale_of_all is not None:
                bad |= (scale != scale_of_all).any(axis=1)
        if bad.any():
            at = int(np.argmax(bad))
            found_height, found_width, found_channels = head[at, :6].copy().view("<u2").tolist()
            found = f"{found_height}x{found_width}x{found_channels}"
            found += f", labels {head[at, metadata_bytes]}, ids {pairs[at].tolist()}"
            if metadata_bytes == CURRENT_METADATA_BYTES:
                found += f", dB range {scale[at].tolist()}"
            expected = f"{height}x{width}x{channels}, labels {len(ids)}, ids {ids}"
            if scale_of_all is not None:
                expected += f", dB range {scale_of_all.tolist()}"
            return f"record {start + at} has {found}; {expected} expected"
    return None


def _index_by_walking(
    data: np.ndarray, metadata_bytes: int, ids: list[int], channels: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return shapes (n, 3) and offsets (n,) if the file is a sequence of records of differing shape.

    The position of a record follows from the record before it, so this needs a loop, with as little work per record as
    possible: 0.3 us. Everything else in the headers is checked for all records together.
    """
    sides_of = struct.Struct("<HHH").unpack_from
    header_bytes = metadata_bytes + 1 + 2 * len(ids)
    content = memoryview(data.data)
    offsets, position, last = array("q"), 0, len(data) - header_bytes
    while position <= last:
        height, width, found = sides_of(content, position)
        if found != channels or content[position + metadata_bytes] != len(ids):
            return None
        offsets.append(position)
        position += header_bytes + height * width * channels
    if position != len(data):
        return None
    starts = np.frombuffer(offsets, np.int64)
    shapes = np.empty((len(starts), 3), np.uint16)
    for start in range(0, len(starts), _CHUNK):
        heads = data[starts[start : start + _CHUNK, None] + np.arange(header_bytes)]
        height, width, _ = heads[:, :6].copy().view("<u2").T
        if (height == 0).any() or (width == 0).any() or (heads[:, metadata_bytes + 1 :: 2] != ids).any():
            return None
        if metadata_bytes == CURRENT_METADATA_BYTES and not _is_range(heads[:, 6:14].copy().view("<f4")).all():
            return None
        shapes[start : start + _CHUNK] = np.stack([np.full_like(height, channels), height, width], axis=1)
    return shapes, starts


def _is_range(scale: np.ndarray) -> np.ndarray:
    """Return for each row of (n, 2) spec_min, spec_max whether both are finite and in order."""
    return np.isfinite(scale).all(axis=1) & (scale[:, 0] <= scale[:, 1])


def verify_checksum(path: Path, expected: str | None, place: object = None) -> None:
    """Raise UserError if a file's SHA-256 differs from the JSON's; `place` is the original if the file is a copy."""
    place = place or path
    if expected is None:
        log.warning("%s: the JSON holds no checksum, so it was not verified", place)
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise UserError(f"{place}: sha256 {found[:12]}... found, {expected[:12]}... expected; {_REMEDY}")
