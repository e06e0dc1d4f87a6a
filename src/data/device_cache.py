"""A split that is completely stored on the accelerator, where its batches are gathered."""

import os
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.data.dataset import Batch, BatchDataset, map_tensors
from src.utils.errors import UserError

_SHARE = 0.25  # of the device's memory, for all splits together: activations need the rest
_CHUNK = 65536  # samples copied at a time: a few MB to a GB


class CachedDataset(Dataset):
    """The batches of another dataset, equal in content and type, already on a device."""

    def __init__(self, dataset: BatchDataset, device: torch.device):
        count = len(dataset)
        self.tensors = map_tensors(
            lambda values: torch.empty((count, *values.shape[1:]), dtype=values.dtype, device=device),
            dataset.__getitems__([0]),
        )
        stored = cast(dict[str, Tensor], self.tensors)
        for start in range(0, count, _CHUNK):
            rows = range(start, min(start + _CHUNK, count))
            for name, values in cast(dict[str, Tensor], dataset.__getitems__(rows)).items():
                stored[name][rows.start : rows.stop] = values

    def __len__(self) -> int:
        return len(self.tensors["image"])

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """Return a batch: a gather of each tensor on its device."""
        rows = torch.as_tensor(indices, dtype=torch.int64).to(self.tensors["image"].device, non_blocking=True)
        return map_tensors(lambda values: values.index_select(0, rows), self.tensors)


def require_room(datasets: Sequence[BatchDataset], device: torch.device) -> None:
    """Raise UserError unless the datasets have one image shape and fit their share of a device's memory."""
    needed = 0
    for dataset in datasets:
        if dataset.ragged:
            raise UserError("data.device_cache: true given, but the images differ in shape; give false")
        one = cast(dict[str, Tensor], dataset.__getitems__([0]))
        needed += len(dataset) * sum(values.nbytes for values in one.values())
    room = _SHARE * _memory(device)
    if needed > room:
        raise UserError(
            f"data.device_cache: the data needs {needed / 1e9:.3g} GB, but at most a quarter of {device}'s "
            f"memory, {room / 1e9:.3g} GB, may be used; give false"
        )


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
