"""The bytes of VIMH records: pack batches of records, and gather batches from a file."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

CURRENT_METADATA_BYTES = 14  # u16 height, width, channels; f32 spec_min, spec_max
OLD_METADATA_BYTES = 6  # version 2.0 and earlier: no f32


def record_bytes(metadata_bytes: int, num_parameters: int, image_bytes: int) -> int:
    """Return the size of one record: metadata, u8 N, N pairs of u8, image."""
    return metadata_bytes + 1 + 2 * num_parameters + image_bytes


def pack_records(images: np.ndarray, codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return version 2.1 records (n, stride) uint8.

    images (n, C, H, W) uint8, codes (n, P) uint8, scale (n, 2) float32 (spec_min, spec_max in dB).
    """
    count, channels, height, width = images.shape
    parameters = codes.shape[1]
    first = CURRENT_METADATA_BYTES + 1
    records = np.empty((count, record_bytes(CURRENT_METADATA_BYTES, parameters, images[0].size)), np.uint8)
    records[:, :6] = np.array([height, width, channels], "<u2").view(np.uint8)
    records[:, 6:14] = np.ascontiguousarray(scale, "<f4").view(np.uint8)
    records[:, 14] = parameters
    records[:, first : first + 2 * parameters : 2] = np.arange(parameters)
    records[:, first + 1 : first + 2 * parameters : 2] = codes
    records[:, first + 2 * parameters :] = images.reshape(count, -1)
    return records


@dataclass(frozen=True)
class Records:
    """Records of one split: their bytes, usually a memory map, and where each record begins.

    `shapes` is (n, 3) uint16 (C, H, W), or one row if all records share a shape. Then `offsets` is None, and the
    stride gives a record's position.
    """

    data: np.ndarray  # (file size,) uint8
    metadata_bytes: int
    ids: np.ndarray  # (P,) the column of data that each stored pair belongs to
    shapes: np.ndarray
    offsets: np.ndarray | None = None

    @cached_property
    def stride(self) -> int:
        return self._size(self.shapes[0])

    @cached_property
    def _rows(self) -> np.ndarray:
        """(n, stride) uint8, if all records share a shape."""
        return np.asarray(self.data).reshape(-1, self.stride)  # not as a memmap, each view of which takes microseconds

    def _size(self, shape: np.ndarray) -> int:
        return record_bytes(self.metadata_bytes, len(self.ids), int(np.prod(shape, dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.data) // self.stride if self.offsets is None else len(self.offsets)

    def codes(self, indices: np.ndarray) -> np.ndarray:
        """Gather only the byte codes, (B, P) uint8, of records of any shape."""
        starts = indices * self.stride if self.offsets is None else self.offsets[indices]
        columns = self.metadata_bytes + 2 + 2 * np.arange(len(self.ids))
        stored = self.data[starts[:, None] + columns]
        codes = np.empty_like(stored)
        codes[:, self.ids] = stored
        return codes

    def gather(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gather a batch: images (B, C, H, W) uint8, codes (B, P) uint8, scale (B, 2) float32 dB.

        Raises ValueError for records of differing shape, which cannot share a batch.
        """
        if self.offsets is None:
            shape, rows = self.shapes[0], self._rows[indices]
        else:
            shape = self.shapes[indices[0]]
            if (self.shapes[indices] != shape).any():
                raise ValueError("records of one batch must share a shape; batch them with batches_by_shape")
            rows = sliding_window_view(np.asarray(self.data), self._size(shape))[self.offsets[indices]]
        first = self.metadata_bytes + 1
        pairs = 2 * len(self.ids)
        codes = np.empty((len(rows), len(self.ids)), np.uint8)
        codes[:, self.ids] = rows[:, first + 1 : first + pairs : 2]
        if self.metadata_bytes == CURRENT_METADATA_BYTES:
            scale = np.ascontiguousarray(rows[:, 6:14]).view("<f4").astype(np.float32)
        else:
            scale = np.zeros((len(rows), 2), np.float32)
        return rows[:, first + pairs :].reshape(-1, *(int(side) for side in shape)), codes, scale
