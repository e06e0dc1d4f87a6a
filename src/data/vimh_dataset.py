"""One split of a VIMH directory as a map-style dataset that serves whole batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from src.data.dataset import Batch, BatchDataset, map_tensors
from src.data.fetch import fetch
from src.data.info import read_spec
from src.data.paths import to_location
from src.data.spec import DatasetSpec
from src.data.vimh.reader import open_exact_values, open_split
from src.data.vimh.watched_file import WatchedFile

_CHUNK = 8192  # labels that are normalised at once: what fits the cache takes a fifth of the time


class VIMHDataset(BatchDataset):
    """Batches {image (B, C, H, W) uint8, target (B, P) float32 in [0, 1], scale (B, 2) float32 dB}.

    `target` is each parameter normalised on its scale: exact if the dataset has exact values (`labels="exact"`, the
    default), otherwise decoded from the record's byte codes (`"quantised"`).
    """

    def __init__(
        self,
        data_dir: str | Path,
        split: str = "train",
        labels: Literal["exact", "quantised"] = "exact",
        indices: np.ndarray | None = None,
        verify: bool = False,
        spec: DatasetSpec | None = None,
    ):
        directory = fetch(to_location(data_dir))
        self.directory, self._split, self._labels = directory, split, labels
        self.spec = spec or read_spec(directory)
        mapped = [path for path in (directory / split, directory / f"{split}_params.npy") if path.is_file()]
        self._mapped = [WatchedFile(path) for path in mapped]
        self.records = open_split(directory, split, self.spec, verify)
        self.indices = indices
        self.values = None
        if labels == "exact":
            self.values = open_exact_values(directory, split, self.spec, self.records, verify)
        self.quantised, self.ragged = self.values is None, self.records.offsets is not None

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Make a copy in another process open the files itself, since a pickled map would contain all bytes."""
        return VIMHDataset, (self.directory, self._split, self._labels, self.indices, False, self.spec)

    def __len__(self) -> int:
        return len(self.records) if self.indices is None else len(self.indices)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """Return a batch, gathered from the memory map in one operation."""
        if not len(indices):  # the empty share of a process
            return map_tensors(lambda values: values[:0], self.__getitems__([0]))
        rows = np.asarray(indices)
        if self.indices is not None:
            rows = self.indices[rows]
        images, codes, scale = self.gather(rows)
        if self.values is None:
            target = codes.astype(np.float32) / 255.0
        else:
            target = self.spec.space.normalize(self.values[rows]).astype(np.float32)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(images)),
            "target": torch.from_numpy(target),
            "scale": torch.from_numpy(scale),
        }

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read records of the file as they are stored, see `Records.gather`."""
        self._require_unchanged()
        return self.records.gather(rows)

    def targets(self) -> np.ndarray:
        """Return all targets, (n, P) float32 in [0, 1]: exact, or quantised as in the records."""
        rows = np.arange(len(self.records)) if self.indices is None else self.indices
        self._require_unchanged()
        if self.values is not None:
            targets = np.empty((len(rows), len(self.spec.space)), np.float32)
            for start in range(0, len(rows), _CHUNK):
                block = slice(start, start + _CHUNK)
                targets[block] = self.spec.space.normalize(self.values[rows[block]])
            return targets
        return self.records.codes(rows).astype(np.float32) / 255.0

    def _require_unchanged(self) -> None:
        for file in self._mapped:
            file.require_unchanged()

    def __getitem__(self, index: int) -> Batch:
        """Return one sample, without the batch axis."""
        return map_tensors(lambda values: values[0], self.__getitems__([range(len(self))[index]]))

    def batches_by_shape(
        self, batch_size: int, seed: int | np.random.SeedSequence | None = None
    ) -> Iterator[np.ndarray]:
        """Yield arrays of indices whose records share a shape, shuffled if a seed is given."""
        if not self.ragged:
            yield from super().batches_by_shape(batch_size, seed)
            return
        generator = None if seed is None else np.random.default_rng(seed)
        order = np.arange(len(self)) if generator is None else generator.permutation(len(self))
        shapes = np.broadcast_to(self.records.shapes, (len(self.records), 3)).astype(np.int64)
        shapes = shapes if self.indices is None else shapes[self.indices]
        keys = ((shapes[:, 0] << 32) | (shapes[:, 1] << 16) | shapes[:, 2])[order]
        by_shape = np.argsort(keys, kind="stable")
        order, keys = order[by_shape], keys[by_shape]
        first_of_shape = np.flatnonzero(np.diff(keys, prepend=-1))
        lengths = np.diff(first_of_shape, append=len(order))
        place = np.arange(len(order)) - np.repeat(first_of_shape, lengths)
        starts = np.flatnonzero(place % batch_size == 0)
        ends = np.append(starts[1:], len(order))
        for turn in range(len(starts)) if generator is None else generator.permutation(len(starts)):
            yield order[starts[turn] : ends[turn]]
