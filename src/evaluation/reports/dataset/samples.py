"""Which samples of a dataset its page looks at, and their pictures: evenly spread, and never more than fit."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from src.data.dataset import BatchDataset
from src.evaluation.image_axes import picture_axes
from src.evaluation.reports.pictures import shrink, sprite, thumbnail_size
from src.utils.spaced import evenly_spaced

Splits = Mapping[str, BatchDataset]
Rows = dict[str, np.ndarray]  # rows of each split

_BLOCK_PIXELS = 2**22  # of the images that are read at once


def spread(splits: Splits, most: int) -> Rows:
    """Return at most `most` rows, evenly spread over all splits together."""
    places = evenly_spaced(sum(map(len, splits.values())), most)
    rows, first = {}, 0
    for split, dataset in splits.items():
        inside = (places >= first) & (places < first + len(dataset))
        rows[split] = places[inside] - first
        first += len(dataset)
    return rows


def image_blocks(splits: Splits, rows: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images (b, C, H, W) uint8 of one shape and their dB ranges (b, 2), in the order of the rows.

    The range is 0 to 0 if a dataset has none.
    """
    for split, dataset in splits.items():
        pixels = int(np.prod(dataset.spec.image_shape))
        size = 1 if dataset.ragged else max(1, _BLOCK_PIXELS // pixels)
        for start in range(0, len(rows[split]), size):
            batch = dataset.__getitems__(rows[split][start : start + size])
            images = batch["image"].numpy()
            yield images, batch["scale"].numpy() if "scale" in batch else np.zeros((len(images), 2), np.float32)


def thumbnails(splits: Splits, rows: Rows) -> dict[str, Any]:
    """Return the first channel of each row's image as data of a page, without loss, at most 32 x 32 pixels."""
    spec = next(iter(splits.values())).spec
    size = thumbnail_size(*spec.image_shape[1:])
    small = np.concatenate([_fit(images[:, 0], size) for images, _ in image_blocks(splits, rows)])
    if spec.inputs.kind == "spectral":
        small = small[:, ::-1]  # the lowest frequency at the bottom
    return sprite(small, lossless=True)


def _fit(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return images (b, H, W) with the height and width of `size`, which other shapes than the usual one lack."""
    if thumbnail_size(*images.shape[1:]) == size:
        return shrink(images)
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, images.shape[1:], strict=True))
    return images[:, rows[:, None], columns]


def shape_axes(splits: Splits, rows: Rows) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    """Return the axes of each shape of image, which of them each row has (n,), and each row's dB range (n, 2)."""
    spec = next(iter(splits.values())).spec
    places: dict[tuple[int, int], int] = {}
    which, ranges = [], []
    for images, scale in image_blocks(splits, rows):
        height, width = images.shape[2:]
        which += [places.setdefault((height, width), len(places))] * len(images)
        ranges.append(scale)
    return [picture_axes(spec, shape) for shape in places], np.asarray(which, np.float32), np.concatenate(ranges)
