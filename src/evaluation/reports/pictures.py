"""Images of samples as files that a page can hold: one PNG an image, and all thumbnails in one WebP."""

import io
import math
from typing import Any

import numpy as np
from PIL import Image

from src.evaluation.reports.page import data_url

_THUMBNAIL = 32  # pixels at most on a side
_MOST_THUMBNAILS = 2**15  # 33 million pixels, decoded at once
_QUALITY = 70  # of a lossy thumbnail: a tenth of the size of a PNG, with no difference that one can see
_LARGEST = 256  # pixels on a side of an image of its own


def png(image: np.ndarray) -> bytes:
    """Return an image (H, W) uint8 as PNG, its rows and columns thinned out beyond 256."""
    height, width = (-(-size // _LARGEST) for size in image.shape)
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[::height, ::width])).save(content, "PNG", optimize=True)
    return content.getvalue()


def thumbnail_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width of an image's thumbnail."""
    return min(height, _THUMBNAIL), min(width, _THUMBNAIL)


def shrink(images: np.ndarray) -> np.ndarray:
    """Return thumbnails (n, h, w) uint8 of images (n, H, W) uint8: means of their pixels."""
    _, height, width = images.shape
    small_height, small_width = thumbnail_size(height, width)
    if (small_height, small_width) == (height, width):
        return images
    sums, area = block_sums(images.astype(np.uint32), (small_height, small_width))
    return (sums // area).astype(np.uint8)


def block_sums(images: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Divide images (n, H, W) into `size` = (h, w) blocks; return their sums (n, h, w) and their areas (h, w)."""
    rows, columns = (np.arange(few) * many // few for few, many in zip(size, images.shape[1:], strict=True))
    sums = np.add.reduceat(np.add.reduceat(images, rows, axis=1), columns, axis=2)
    area = np.outer(np.diff([*rows, images.shape[1]]), np.diff([*columns, images.shape[2]]))
    return sums, area


def sprite(thumbnails: np.ndarray, lossless: bool = False) -> dict[str, Any]:
    """Return thumbnails (n, h, w) uint8 as data of a page: one WebP that holds them row by row, and their sizes."""
    count, height, width = thumbnails.shape
    columns = math.ceil(math.sqrt(count * height / width))
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, height, width), np.uint8)
    sheet[:count] = thumbnails
    sheet = sheet.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, "WEBP", quality=_QUALITY, method=2, lossless=lossless)
    url = data_url("image/webp", content.getvalue())
    return {"url": url, "width": width, "height": height, "columns": columns}


def fits_sprite(count: int) -> bool:
    """Return whether the thumbnails of `count` samples fit into one picture."""
    return count <= _MOST_THUMBNAILS
