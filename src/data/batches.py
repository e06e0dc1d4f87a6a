"""The samples of each batch, their order, and how several processes share them."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

from src.data.dataset import BatchDataset


class Batches(Sampler[np.ndarray]):
    """One process's share of every batch of an epoch, a pure function of (seed, epoch).

    The samples of a batch of `world_size * batch_size` go to the processes in turn, so step k of several processes
    sees the same samples as step k of a single process with that batch size. No sample occurs twice. In training all
    shares are equal, so the mean of their gradients is the gradient of the batch: the samples after the last complete
    batch, or that cannot be shared equally, are left out, different ones every epoch. Otherwise every sample is served
    once, and a share may be empty. `partners(rows, epoch)` returns as many rows, which follow those of a batch.
    """

    def __init__(
        self,
        dataset: BatchDataset,
        batch_size: int,
        training: bool = False,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        partners: Callable[[np.ndarray, int], np.ndarray] | None = None,
    ):
        self.dataset, self.size, self.training = dataset, batch_size * world_size, training
        self.shuffle, self.seed, self.rank, self.world_size = shuffle, seed, rank, world_size
        self.partners = partners
        self.epoch = 0
        self.sampler = self  # where Lightning looks for `set_epoch`

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch  # called by Lightning, as for any distributed sampler

    def __iter__(self) -> Iterator[np.ndarray]:
        # not the sum of both: seed 1 would begin with the second epoch of seed 0
        seed = np.random.SeedSequence(self.seed, spawn_key=(self.epoch,)) if self.shuffle else None
        for batch in self._all_processes(seed):
            end = len(batch) - (len(batch) % self.world_size if self.training else 0)
            if not end:
                continue
            rows = batch[self.rank : end : self.world_size]
            yield rows if self.partners is None else np.concatenate([rows, self.partners(rows, self.epoch)])

    def __len__(self) -> int:
        least = self.world_size if self.training else 1
        return sum(1 for batch in self._all_processes() if len(batch) >= least)

    def _all_processes(self, seed: np.random.SeedSequence | None = None) -> Iterator[np.ndarray]:
        """Yield the batches of all processes together."""
        if self.dataset.ragged:
            yield from self.dataset.batches_by_shape(self.size, seed)
            return
        count = len(self.dataset)
        order = None if seed is None else np.random.default_rng(seed).permutation(count)  # 8 bytes per sample
        if self.training and count >= self.size:
            count -= count % self.size  # a last batch of one sample would break batch norm
        for start in range(0, count, self.size):
            end = min(start + self.size, count)
            yield np.arange(start, end) if order is None else order[start:end]
