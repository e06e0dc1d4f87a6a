"""The samples of several datasets, numbered as one; their images are read only when they are copied."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.data.spec import DatasetSpec
from src.data.vimh.records import CURRENT_METADATA_BYTES
from src.data.vimh_dataset import VIMHDataset

_CHUNK = 65536  # labels that are read at once


@dataclass(frozen=True)
class Part:
    """One split of one source; `columns` are the places of the pool's parameters among its own, (P,) int64."""

    source: int
    split: str
    dataset: VIMHDataset
    columns: np.ndarray

    def values(self) -> np.ndarray:
        """Return all labels in physical units, (n, P) float32; those of a dataset without exact values are decoded."""
        found = np.empty((len(self.dataset), len(self.columns)), np.float32)
        for start in range(0, len(found), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(found)))
            own = self.dataset.values
            block = self.dataset.spec.space.from_byte(self.dataset.records.codes(rows)) if own is None else own[rows]
            found[rows] = block[:, self.columns]
        return found


class Pool:
    """All samples of the sources: those of the first part come first. `spec` describes them as one dataset.

    `is_exact` says whether all labels are known exactly, `has_ranges` whether the dB range of each image is known.
    """

    def __init__(self, spec: DatasetSpec, parts: Sequence[Part]):
        self.spec = spec
        self.parts = tuple(parts)
        self.first = np.cumsum([0, *(len(part.dataset) for part in parts)])
        self.is_exact = all(part.dataset.values is not None for part in parts)
        self.has_ranges = all(part.dataset.records.metadata_bytes == CURRENT_METADATA_BYTES for part in parts)

    def __len__(self) -> int:
        return int(self.first[-1])

    def values(self) -> np.ndarray:
        """Return all labels in physical units, (n, P) float32."""
        return np.concatenate([part.values() for part in self.parts])

    def part_of(self, samples: np.ndarray) -> np.ndarray:
        """Return the number of the part of each sample, (n,) int64."""
        return np.searchsorted(self.first, samples, side="right") - 1

    def images(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read images (n, C, H, W) uint8 and their dB ranges (n, 2) float32."""
        images = np.empty((len(samples), *self.spec.image_shape), np.uint8)
        scale = np.empty((len(samples), 2), np.float32)
        part_of = self.part_of(samples)
        for number in np.unique(part_of):
            here = np.flatnonzero(part_of == number)
            images[here], _, scale[here] = self.parts[number].dataset.gather(samples[here] - self.first[number])
        return images, scale
