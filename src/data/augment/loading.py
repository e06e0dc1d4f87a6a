"""Serve the numbers of samples with their batches, from which their random numbers follow."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from src.data.dataset import Batch, BatchDataset
from src.data.device_cache import CachedDataset


class NumberedDataset(Dataset):
    """The batches of another dataset, with `index` (B,) int64: the samples' numbers in it."""

    def __init__(self, dataset: BatchDataset | CachedDataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        batch = self.dataset.__getitems__(indices)
        index = torch.from_numpy(np.asarray(indices, np.int64))
        return {**batch, "index": index.to(batch["image"].device, non_blocking=True)}
