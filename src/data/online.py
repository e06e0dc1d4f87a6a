"""Clips rendered while a network trains on them: new clips in every epoch, which are not stored."""

import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, parent_process
from operator import itemgetter
from threading import Thread, Timer
from typing import Literal, NamedTuple, cast

import numpy as np
import torch

from src.data.dataset import Batch, map_tensors
from src.data.source import Source
from src.utils.errors import UserError

FRESH = 2**193  # beyond the sample numbers of files, below 2^40, and the counters of their order, 2^191 and 2^192
EPOCH = 2**64  # sample numbers of one epoch
BLOCK_CLIPS = 1024  # rendered and transferred together: with fewer, the transfers would take most of the time
_GRACE_SECONDS = 5.0  # from SIGTERM to a worker's end: the last steps of the run may still need its clips


class Share(NamedTuple):
    """Some of one process's clips of an epoch: `size` numbers start, start + step, ..."""

    epoch: int
    start: int
    step: int
    size: int


class FreshClips:
    """Renders any share of any epoch; a clip is a pure function of (seed, epoch, number).

    Seeds work as for files, but no clip of any seed and epoch uses the random numbers of a file's clips.
    Raises UserError if clips would repeat those of the files, since no parameter is continuous.
    """

    def __init__(self, source: Source, seed: int, labels: Literal["exact", "quantised"] = "exact"):
        combinations = source.synth.space.num_combinations
        if combinations is not None:
            raise UserError(
                f"data: no parameter is continuous, so online clips repeat the {combinations} combinations of "
                "validation and test; give data=vimh"
            )
        self.source, self.seed, self.labels = source, seed, labels

    def render(self, share: Share) -> dict[str, np.ndarray]:
        """Return image (n, C, H, W) uint8, target (n, P) float32 and scale (n, 2) float32, as from files."""
        space = self.source.synth.space
        first = FRESH + share.epoch * EPOCH + share.start
        values = space.sample(self.seed, first, share.size * share.step)[:: share.step]
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # so that results do not depend on the number of threads
        try:
            images, scale = self.source.images(values)
        finally:
            torch.set_num_threads(threads)
        target = space.normalize(values) if self.labels == "exact" else space.to_byte(values) / np.float32(255.0)
        return {"image": images, "target": target.astype(np.float32), "scale": scale}


class OnlineLoader:
    """One process's batches of an epoch, rendered ahead by `workers` other processes, or by this process if 0.

    The clips of a batch of `world_size * batch_size` go to the processes in turn, as in src.data.batches, and only
    complete batches are served. During validation, the workers render the next epoch. Lightning sets the epoch and
    stores the number of batches served, so that a resumed run continues with the next batch. If `numbered`, batches
    have the clips' numbers in the epoch as `index`.
    """

    def __init__(
        self,
        clips: FreshClips,
        epoch_size: int,
        batch_size: int,
        workers: int = 0,
        prefetch_factor: int = 2,
        pin_memory: bool = False,
        rank: int = 0,
        world_size: int = 1,
        numbered: bool = False,
    ):
        self.clips, self.batch_size, self.pin_memory = clips, batch_size, pin_memory
        self.workers, self.prefetch_factor, self.rank, self.world_size = workers, prefetch_factor, rank, world_size
        self.num_batches = epoch_size // (batch_size * world_size)
        self.block_batches = max(1, BLOCK_CLIPS // batch_size)
        self.sampler = self  # where Lightning looks for `set_epoch`
        self.epoch = 0
        self.numbered = numbered
        self._served = 0
        self._resumed = {"epoch": -1, "batch": 0}
        self._pool: ProcessPoolExecutor | None = None
        self._ahead: deque[tuple[Share, Future]] = deque()

    def __len__(self) -> int:
        return self.num_batches

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of its batches that were served, for a checkpoint."""
        return {"epoch": self.epoch, "batch": self._served}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration where the checkpoint was saved, if it is of the same epoch."""
        self._resumed = state

    def __iter__(self) -> Iterator[Batch]:
        # this runs at the first `next`: Lightning asks for the iterator before it sets the epoch
        self._served = self._resumed["batch"] if self._resumed["epoch"] == self.epoch else 0
        self._resumed = {"epoch": -1, "batch": 0}
        while self._served < self.num_batches:
            share = self._share(self.epoch, self._served)
            clips = self._take(share)
            block = cast(Batch, {name: torch.from_numpy(value) for name, value in clips.items()})
            if self.numbered:
                block["index"] = torch.arange(share.size) * share.step + share.start
            if self.pin_memory and torch.cuda.is_available():
                block = map_tensors(torch.Tensor.pin_memory, block)
            for start in range(0, len(block["image"]), self.batch_size):
                self._served += 1
                yield map_tensors(itemgetter(slice(start, start + self.batch_size)), block)

    def close(self) -> None:
        """End the workers; another iteration starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None
        self._ahead.clear()

    def _share(self, epoch: int, batch: int) -> Share:
        """Return the share that contains a batch and the following batches that are rendered with it."""
        batches = min(self.block_batches, self.num_batches - batch)
        start = batch * self.batch_size * self.world_size + self.rank
        return Share(epoch, start, self.world_size, batches * self.batch_size)

    def _after(self, share: Share) -> Share:
        """Return the share that follows another, in its epoch or the next."""
        batch = share.start // (self.batch_size * self.world_size) + share.size // self.batch_size
        return self._share(share.epoch, batch) if batch < self.num_batches else self._share(share.epoch + 1, 0)

    def _take(self, share: Share) -> dict[str, np.ndarray]:
        """Return a share's clips, and have the workers render the following shares."""
        if not self.workers:
            return self.clips.render(share)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, initializer=_start_worker, initargs=(self.clips,))
        if self._ahead and self._ahead[0][0] != share:  # an epoch ended early
            for _, future in self._ahead:
                future.cancel()
            self._ahead.clear()
        try:
            while len(self._ahead) <= self.workers * self.prefetch_factor:
                later = self._after(self._ahead[-1][0]) if self._ahead else share
                self._ahead.append((later, self._pool.submit(_render, later)))
            return self._ahead.popleft()[1].result()
        except BrokenProcessPool as error:
            raise UserError(
                "data.workers: a process that renders clips was killed; if memory is short, give fewer workers"
            ) from error


_clips: FreshClips  # a worker's own


def _start_worker(clips: FreshClips) -> None:
    global _clips
    _clips = clips
    # workers also receive signals from a terminal or a scheduler, but the run ends its workers itself after saving
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: Timer(_GRACE_SECONDS, os._exit, (1,)).start())
    torch.set_num_threads(1)  # each core has its own worker
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this worker if the run was killed and could not end it."""
    parent = parent_process()
    if parent is not None:  # this is a worker
        connection.wait([parent.sentinel])
    os._exit(1)


def _render(share: Share) -> dict[str, np.ndarray]:
    return _clips.render(share)
