"""IDX files, the format of MNIST: a header with big-endian sizes, then bytes; compressed by gzip or not."""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.images.image_set import MOST_BYTES, Classes, ImageSet, ImageSplit
from src.utils.errors import UserError, one_line

_UNSIGNED_BYTE = 8  # the code of the type in the third byte of a file
_MOST_RATIO = 1032  # deflate cannot compress more: a length of 258 bytes takes at least two bits
_REMEDY = "get the file again, see docs/images.md"


def read_idx(root: Path, class_names: Sequence[str] = ()) -> ImageSet:
    """Read the four files of MNIST's layout; without names, the classes are named by their numbers."""
    train, test = (_read_split(root, name) for name in ("train", "t10k"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(f"{root}: images of {train.images.shape[2:]} pixels in train, {test.images.shape[2:]} in t10k")
    largest = int(max(train.classes.max(), test.classes.max()))
    names = tuple(class_names) or tuple(str(number) for number in range(largest + 1))
    if largest >= len(names):
        raise UserError(f"{root}: a label {largest} found, but data.reader.class_names has {len(names)} names")
    return ImageSet(Classes(names), train, test)


def _read_split(root: Path, name: str) -> ImageSplit:
    images = read_array(_find(root, f"{name}-images-idx3-ubyte"), 3)
    path = _find(root, f"{name}-labels-idx1-ubyte")
    classes = read_array(path, 1)
    if len(images) != len(classes):
        raise UserError(f"{path}: {len(classes)} labels found for {len(images)} images; {_REMEDY}")
    return ImageSplit(images[:, None], classes.astype(np.int64))


def _find(root: Path, name: str) -> Path:
    for path in (root / name, root / f"{name}.gz"):
        if path.is_file():
            return path
    raise UserError(f"{root}: holds no file {name} or {name}.gz; give another data.root, or {_REMEDY}")


def read_array(path: Path, dimensions: int) -> np.ndarray:
    """Read an array of bytes with so many dimensions; raise UserError for another file.

    The sizes in the header are compared with those of the file before anything is allocated.
    """
    compressed = path.suffix == ".gz"
    most = path.stat().st_size * (_MOST_RATIO if compressed else 1)
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            header = file.read(4 + 4 * dimensions)
            shape = _read_header(header, dimensions)
            size = math.prod(shape)
            if not 0 < size <= min(most, MOST_BYTES):
                raise ValueError(f"its header states {' x '.join(map(str, shape))} bytes")
            content = file.read(size + 1)
        if len(content) != size:
            found = "more" if len(content) > size else f"{len(content)}"
            raise ValueError(f"its header states {size} bytes, {found} found")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{path}: no valid IDX file ({one_line(error)}); {_REMEDY}") from error
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_header(header: bytes, dimensions: int) -> tuple[int, ...]:
    """Return the sizes in a header; raise ValueError for one of another type or number of dimensions."""
    expected = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if header[:4] != expected or len(header) < 4 + 4 * dimensions:
        raise ValueError(f"it begins with {header[:4].hex(' ')}, {expected.hex(' ')} expected")
    return struct.unpack(f">{dimensions}I", header[4:])
