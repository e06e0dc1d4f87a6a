"""Pickle twins of VIMH splits, read by an unpickler that admits arrays and plain containers only."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from src.data.records import Records, pack_records
from src.utils.errors import UserError

_REMEDY = "use the binary file, or make the dataset again"
_LABEL_KEYS = ("vimh_labels", "labels", "multihead_labels")


class _Array:
    """Stands for numpy.ndarray: admitted as a name, never callable with a shape of the file's choosing."""


def _reconstruct(kind: type, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    if kind is not _Array:
        raise pickle.UnpicklingError(f"{kind!r} is not an array")
    return np.ndarray.__new__(np.ndarray, (0,), "b")  # the state that follows sets shape, dtype and bytes


def _plain_dtype(*arguments: Any) -> np.dtype:
    dtype = np.dtype(*arguments)
    if dtype.hasobject:
        raise pickle.UnpicklingError("arrays of objects are not admitted")
    return dtype


def _encode(text: str, encoding: str) -> bytes:
    return text.encode(encoding)  # how old pickle protocols write bytes


_ADMITTED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _plain_dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is neither array nor container") from None


def load_plain_pickle(path: Path) -> Any:
    """Load arrays and plain containers; anything else is a UserError and is never executed."""
    try:
        return _Unpickler(io.BytesIO(path.read_bytes())).load()
    except (
        *(pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError),
        *(OverflowError, MemoryError, ImportError, RecursionError),
    ) as error:
        raise UserError(f"{path}: not a plain pickle ({error}); {_REMEDY}") from error


def read_pickle(path: Path, image_shape: tuple[int, int, int], num_parameters: int) -> Records:
    """Read a pickle twin into version 2.1 records in memory; UserError names the key at fault."""
    content = load_plain_pickle(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: a {type(content).__name__} found, a dict expected; {_REMEDY}")
    channels, height, width = image_shape
    for key, expected in (("height", height), ("width", width), ("channels", channels)):
        if content.get(key, expected) != expected:
            raise UserError(f"{path}: {key} {content[key]} found, {expected} expected; {_REMEDY}")
    data = _array(path, content, ("data",), np.uint8)
    if data.ndim < 2 or data[0].size != channels * height * width:
        raise UserError(f"{path}: data {data.shape} found, (n, {channels * height * width}) expected; {_REMEDY}")
    labels = _array(path, content, _LABEL_KEYS, np.uint8)
    if labels.shape != (len(data), 1 + 2 * num_parameters):
        raise UserError(
            f"{path}: labels {labels.shape} found, {(len(data), 1 + 2 * num_parameters)} expected; {_REMEDY}"
        )
    ids = labels[:, 1::2]
    if (labels[:, 0] != num_parameters).any() or (np.sort(ids, axis=1) != np.arange(num_parameters)).any():
        raise UserError(f"{path}: each row of labels must be [{num_parameters}, id, value, ...]; {_REMEDY}")
    codes = np.empty_like(ids)
    np.put_along_axis(codes, ids.astype(np.int64), labels[:, 2::2], axis=1)
    scale = np.zeros((len(data), 2), np.float32)
    if content.get("scale_factors") is not None:
        scale = _array(path, content, ("scale_factors",), np.float32)
        if scale.shape != (len(data), 2) or not np.isfinite(scale).all():
            raise UserError(f"{path}: scale_factors must be finite, {(len(data), 2)}; {_REMEDY}")
    records = pack_records(data.reshape(-1, channels, height, width), codes, scale)
    return Records(records.reshape(-1), 14, np.arange(num_parameters), np.array([image_shape], np.uint16))


def _array(path: Path, content: dict, keys: tuple[str, ...], dtype: type) -> np.ndarray:
    key = next((key for key in keys if key in content), None)
    if key is None:
        raise UserError(f"{path}: no key {' or '.join(keys)}; {_REMEDY}")
    try:
        given = np.asarray(content[key])
        if given.dtype.kind not in "uif" or not given.size:
            raise ValueError(f"{given.dtype} {given.shape}")
        array = given.astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: {key} is no array of numbers ({error}); {_REMEDY}") from error
    if dtype is np.uint8 and not np.array_equal(array, given):
        raise UserError(f"{path}: {key} holds values outside 0..255; {_REMEDY}")
    return array


def write_pickle(path: Path, records: Records) -> None:
    """Write the ancestor's pickle twin of a split (protocol 4); all of it is held in memory."""
    images, codes, scale = records.gather(np.arange(len(records)))
    labels = np.empty((len(codes), 1 + 2 * codes.shape[1]), np.uint8)
    labels[:, 0] = codes.shape[1]
    labels[:, 1::2] = np.arange(codes.shape[1])
    labels[:, 2::2] = codes
    channels, height, width = images.shape[1:]
    content = {
        "data": images.reshape(len(images), -1),
        "vimh_labels": labels.tolist(),
        "scale_factors": scale,
        "height": height,
        "width": width,
        "channels": channels,
        "image_size": images[0].size,
    }
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=4)
