"""CIFAR-10 and CIFAR-100, as pickles of Python 2 (read without pickle) or in the binary version.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.data.images.image_set import MOST_BYTES, Classes, ImageSet, ImageSplit
from src.data.plain_pickle import load_plain_pickle, plain_array
from src.utils.errors import UserError, one_line

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32  # red, then green, then blue, row by row
_MOST_NAMES_BYTES = 2**16
_REMEDY = "unpack the archive again, see docs/images.md"


@dataclass(frozen=True)
class _Layout:
    """The files of one version. Label arrays and names are in the order fine, coarse."""

    train: tuple[str, ...]
    test: str
    names: tuple[str, ...]  # keys of the file of names, or files of one name a line
    labels: tuple[str, ...] = ()  # keys of the pickles
    label_bytes: tuple[int, ...] = ()  # places in a binary record


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_LAYOUTS = {  # by the file that tells the version
    "batches.meta": _Layout(_BATCHES, "test_batch", ("label_names",), labels=("labels",)),
    "meta": _Layout(
        ("train",), "test", ("fine_label_names", "coarse_label_names"), labels=("fine_labels", "coarse_labels")
    ),
    "batches.meta.txt": _Layout(
        tuple(f"{name}.bin" for name in _BATCHES), "test_batch.bin", ("batches.meta.txt",), label_bytes=(0,)
    ),
    "fine_label_names.txt": _Layout(
        ("train.bin",), "test.bin", ("fine_label_names.txt", "coarse_label_names.txt"), label_bytes=(1, 0)
    ),
}


def read_cifar(root: Path) -> ImageSet:
    """Read whichever version a folder holds; raise UserError if it holds none, or a damaged one."""
    for told_by, layout in _LAYOUTS.items():
        if (root / told_by).is_file():
            return _read(root, told_by, layout)
    raise UserError(f"{root}: holds none of {', '.join(_LAYOUTS)}; give another data.root, or {_REMEDY}")


def _read(root: Path, told_by: str, layout: _Layout) -> ImageSet:
    names = _read_pickled_names(root / told_by, layout.names) if layout.labels else _read_names(root, layout.names)
    parts = []
    for file in (*layout.train, layout.test):
        path = root / file
        if not path.is_file():
            raise UserError(f"{path}: does not exist; {_REMEDY}")
        part = _read_pickle(path, layout.labels) if layout.labels else _read_binary(path, layout.label_bytes)
        for column, known in zip(part[1].T, names, strict=True):
            if column.max() >= len(known):
                raise UserError(f"{path}: a label {column.max()} found, but only {len(known)} names; {_REMEDY}")
        parts.append(part)
    labels = np.concatenate([part[1] for part in parts])
    coarse = _coarse_of_fine(root, labels, names) if len(names) > 1 else None
    classes = Classes(names[0], names[1] if coarse else (), coarse)
    *train, (test_images, test_labels) = parts
    images = train[0][0] if len(train) == 1 else np.concatenate([part[0] for part in train])
    train_labels = np.concatenate([part[1] for part in train])
    return ImageSet(
        classes,
        ImageSplit(images, train_labels[:, 0].astype(np.int64)),
        ImageSplit(test_images, test_labels[:, 0].astype(np.int64)),
    )


def _coarse_of_fine(root: Path, labels: np.ndarray, names: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """Return the coarse class of each fine class by the labels (n, 2) of all images, which must agree."""
    pairs = np.unique(labels, axis=0)
    table = np.zeros(len(names[0]), np.int64)  # a class without images keeps 0, which no image reads
    table[pairs[:, 0]] = pairs[:, 1]
    for fine, coarse in pairs:
        if table[fine] != coarse:
            both = f"{names[1][coarse]} and {names[1][table[fine]]}"
            raise UserError(f"{root}: images of {names[0][fine]} have the coarse classes {both}; {_REMEDY}")
    return tuple(table.tolist())


def _read_pickle(path: Path, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return a file's images (n, 3, 32, 32) and labels (n, L), both uint8."""
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path}: larger than {MOST_BYTES} bytes; {_REMEDY}")
    content = _load_dict(path)
    pixels = plain_array(path, content, ("data",), np.uint8, _REMEDY)
    if pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
        raise UserError(f"{path}: data {pixels.shape} found, (n, {_PIXELS}) expected; {_REMEDY}")
    labels = [plain_array(path, content, (key,), np.uint8, _REMEDY) for key in keys]
    for key, found in zip(keys, labels, strict=True):
        if found.shape != (len(pixels),):
            raise UserError(f"{path}: {key} {found.shape} found, ({len(pixels)},) expected; {_REMEDY}")
    return pixels.reshape(-1, *_SHAPE), np.stack(labels, axis=1)


def _read_binary(path: Path, label_bytes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a file's images (n, 3, 32, 32) and labels (n, L), both uint8."""
    size, record = path.stat().st_size, len(label_bytes) + _PIXELS
    if not 0 < size <= MOST_BYTES or size % record:
        raise UserError(f"{path}: {size} bytes found, a multiple of {record} expected; {_REMEDY}")
    try:
        records = np.fromfile(path, np.uint8).reshape(-1, record)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}); {_REMEDY}") from error
    return records[:, len(label_bytes) :].reshape(-1, *_SHAPE), records[:, label_bytes]


def _read_pickled_names(path: Path, keys: Sequence[str]) -> list[tuple[str, ...]]:
    content, found = _load_dict(path), []
    for key in keys:
        names = content.get(key)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{path}: {key} is no list of names; {_REMEDY}")
        found.append(tuple(names))
    return found


def _read_names(root: Path, files: Sequence[str]) -> list[tuple[str, ...]]:
    found = []
    for path in (root / file for file in files):
        try:
            if not path.is_file() or path.stat().st_size > _MOST_NAMES_BYTES:
                raise ValueError(f"a file of at most {_MOST_NAMES_BYTES} bytes expected")
            found.append(tuple(path.read_text(encoding="utf-8").split()))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: holds no names ({one_line(error)}); {_REMEDY}") from error
    return found


def _load_dict(path: Path) -> dict:
    content = load_plain_pickle(path, _REMEDY)
    if not isinstance(content, dict):
        raise UserError(f"{path}: a {type(content).__name__} found, a dict expected; {_REMEDY}")
    return content
