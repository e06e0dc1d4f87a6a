"""A folder of PNG and JPEG files, with a subfolder for each class."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from src.data.images.image_set import MOST_BYTES, Classes, ImageSet, ImageSplit
from src.spectral.config import check_pixels
from src.utils.errors import UserError, one_line

_SUFFIXES = {".png", ".jpg", ".jpeg"}
_MOST_PIXELS = 2**26  # of a file, which is decoded before it is resized: 200 MB in colour
_FAULTS = (  # of Pillow for damaged files
    *(OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


def read_folder(root: Path, size: tuple[int, int] = (32, 32), grey: bool = False) -> ImageSet:
    """Read all images, resized to `size` (H, W), in colour or in shades of grey.

    The classes are the subfolders of `root`, or of `root`/train and `root`/test if both exist, in alphabetical order.
    """
    shape = (1 if grey else 3, *size)
    try:
        if min(size) < 1:
            raise ValueError(f"{list(size)} given; give two numbers of pixels above 0")
        check_pixels(*shape)
    except ValueError as error:
        raise UserError(f"data.reader.size: {error}") from error
    has_test = (root / "train").is_dir() and (root / "test").is_dir()
    train = _list_files(root / "train" if has_test else root)
    names = sorted(train)
    if len(names) < 2:
        raise UserError(f"{root}: {len(names)} subfolders with PNG or JPEG files found; give one for each class")
    test = _list_files(root / "test") if has_test else {}
    if unknown := sorted(set(test) - set(names)):
        raise UserError(f"{root}: the class {unknown[0]} is in test, but not in train; add it to train or remove it")
    if has_test and not test:
        raise UserError(f"{root / 'test'}: holds no subfolders with PNG or JPEG files; add some, or remove it")
    return ImageSet(
        Classes(tuple(names)), _read_files(train, names, shape), _read_files(test, names, shape) if has_test else None
    )


def _list_files(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of each subfolder that has any, in a fixed order."""
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; give data.root=FOLDER, with a subfolder for each class")
    found = {}
    for inner in folder.iterdir():
        if inner.is_dir() and not inner.name.startswith("."):
            files = [path for path in inner.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()]
            if files:
                found[inner.name] = sorted(files)
    return found


def _read_files(files: dict[str, list[Path]], names: Sequence[str], shape: tuple[int, int, int]) -> ImageSplit:
    paths = [path for name in names for path in files.get(name, [])]
    if len(paths) * int(np.prod(shape)) > MOST_BYTES:
        raise UserError(f"data.reader.size: {len(paths)} images of {shape} need more than 1 GiB; give a smaller size")
    images = np.empty((len(paths), *shape), np.uint8)
    for at, path in enumerate(paths):
        images[at] = _read_image(path, shape)
    classes = np.repeat(np.arange(len(names)), [len(files.get(name, [])) for name in names])
    return ImageSplit(images, classes)


def _read_image(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Return a file's image, (C, H, W) uint8; raise UserError for a file that is no image of 8 bits."""
    channels, height, width = shape
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, more than {_MOST_PIXELS}")
            if image.mode.startswith(("I", "F")):
                raise ValueError("16 bits a pixel")
            small = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    except _FAULTS as error:
        raise UserError(
            f"{path}: not read as a PNG or JPEG image of 8 bits ({one_line(error)}); save it again, or remove it"
        ) from error
    return np.asarray(small).reshape(height, width, channels).transpose(2, 0, 1)
