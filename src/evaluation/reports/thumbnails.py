"""The thumbnails of a page's samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.data.dataset import BatchDataset
from src.evaluation.reports.examples import as_bytes
from src.evaluation.reports.pictures import fits_sprite, shrink, sprite

_BLOCK = 2048  # images that are read at once


def thumbnails(test: BatchDataset, rows: Sequence[int] | np.ndarray | None = None) -> dict[str, Any] | None:
    """Return the thumbnails of a split, or of some of its rows, as data of a page.

    None if there are too many, or if their shapes differ.
    """
    rows = np.arange(len(test)) if rows is None else np.asarray(rows)
    if test.ragged or not fits_sprite(len(rows)):
        return None
    parts = []
    for start in range(0, len(rows), _BLOCK):
        images = test.__getitems__(rows[start : start + _BLOCK])["image"][:, 0].numpy()
        parts.append(shrink(as_bytes(images, test.spec)))
    small = np.concatenate(parts)
    if test.spec.inputs.kind == "spectral":
        small = small[:, ::-1]  # the lowest frequency at the bottom
    return sprite(small)
