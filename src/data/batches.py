"""Which samples make each batch, in which order, and which of several processes takes which of them."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from src.data.vimh_dataset import VIMHDataset


class Batches(Sampler[list[int]]):
    """One process's share of every batch of an epoch, a pure function of (seed, epoch).

    A batch of `world_size * batch_size` samples is dealt out in turn, so that step k of several processes sees what
    step k of a single one with as large a batch would. No sample comes twice. In training all shares are equal, so
    that a mean of their gradients is the batch's: what is over after the last whole batch, or cannot be shared
    equally, is left out, others every epoch. Otherwise every sample is served once, and a share may be empty.
    """

    def __init__(
        self,
        dataset: VIMHDataset,
        batch_size: int,
        training: bool = False,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.dataset, self.size, self.training = dataset, batch_size * world_size, training
        self.shuffle, self.seed, self.rank, self.world_size = shuffle, seed, rank, world_size
        self.epoch = 0
        self.sampler = self  # where Lightning looks for `set_epoch`

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch  # Lightning tells it, as it tells any distributed sampler

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._whole(self.seed + self.epoch if self.shuffle else None):
            end = len(batch) - (len(batch) % self.world_size if self.training else 0)
            if end:
                yield list(batch[self.rank : end : self.world_size])

    def __len__(self) -> int:
        least = self.world_size if self.training else 1
        return sum(1 for batch in self._whole() if len(batch) >= least)

    def _whole(self, seed: int | None = None) -> Iterator[Sequence[int]]:
        """Yield the batches of all processes together."""
        if self.dataset.records.offsets is not None:
            yield from self.dataset.batches_by_shape(self.size, seed)
            return
        count = len(self.dataset)
        order = range(count)
        if seed is not None:
            order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
        if self.training and count >= self.size:
            count -= count % self.size  # a last batch of one would upset batch norm
        for start in range(0, count, self.size):
            yield order[start : start + self.size]
