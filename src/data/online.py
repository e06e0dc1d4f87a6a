"""Clips rendered while a network trains on them: fresh ones every epoch, none of them ever stored."""

import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, parent_process
from threading import Thread, Timer
from typing import Literal, NamedTuple

import numpy as np
import torch

from src.data.source import Source
from src.data.vimh_dataset import Batch
from src.utils.errors import UserError

FRESH = 2**193  # files draw at sample numbers below 2^40, and their order at counter 2^192: nothing there is drawn here
EPOCH = 2**64  # sample numbers that each epoch owns
BLOCK_CLIPS = 1024  # rendered and handed over at once: fewer would spend the time on the hand-over
_GRACE_SECONDS = 5.0  # between SIGTERM and a worker's end: the run's last steps may need it still


class Share(NamedTuple):
    """Some of one process's clips of an epoch: numbers start, start + step, ..., `count` of them."""

    epoch: int
    start: int
    step: int
    count: int


class FreshClips:
    """Renders any share of any epoch, a pure function of (seed, epoch, number).

    Seeds are what they are for files, and no clip, whatever its seed and epoch, shares random numbers with a file's.
    """

    def __init__(self, source: Source, seed: int, labels: Literal["exact", "quantised"] = "exact"):
        self.source, self.seed, self.labels = source, seed, labels

    def render(self, share: Share) -> dict[str, np.ndarray]:
        """Return image (n, C, H, W) uint8, target (n, P) float32 and scale (n, 2) float32, as files would hold them."""
        space = self.source.synth.space
        first = FRESH + share.epoch * EPOCH + share.start
        values = space.sample(self.seed, first, share.count * share.step)[:: share.step]
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # arithmetic then never depends on how many there are, as in src.data.generate
        try:
            images, scale = self.source.images(values)
        finally:
            torch.set_num_threads(threads)
        target = space.normalize(values) if self.labels == "exact" else space.to_byte(values) / np.float32(255.0)
        return {"image": images, "target": target.astype(np.float32), "scale": scale}


class OnlineLoader:
    """One process's batches of an epoch, rendered ahead by `workers` more; with 0 of them, in this one.

    A batch of `world_size * batch_size` clips is dealt out in turn, as src.data.batches deals out a file's, and only
    whole batches are served. Workers go on into the next epoch while a run validates. Lightning tells the epoch, and
    stores how far in it a run was, so that a resumed one goes on with the very next batch.
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
    ):
        self.clips, self.batch_size, self.pin_memory = clips, batch_size, pin_memory
        self.workers, self.prefetch_factor, self.rank, self.world_size = workers, prefetch_factor, rank, world_size
        self.num_batches = epoch_size // (batch_size * world_size)
        self.block_batches = max(1, BLOCK_CLIPS // batch_size)
        self.sampler = self  # where Lightning looks for `set_epoch`
        self.epoch = 0
        self._served = 0
        self._resumed = {"epoch": -1, "batch": 0}
        self._pool: ProcessPoolExecutor | None = None
        self._ahead: deque[tuple[Share, Future]] = deque()

    def __len__(self) -> int:
        return self.num_batches

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Return where the run is, for a checkpoint."""
        return {"epoch": self.epoch, "batch": self._served}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration begin where a checkpoint was, if it is of that epoch."""
        self._resumed = state

    def __iter__(self) -> Iterator[Batch]:
        # runs at the first `next`, when Lightning has told the epoch: it asks for the iterator before
        self._served = self._resumed["batch"] if self._resumed["epoch"] == self.epoch else 0
        self._resumed = {"epoch": -1, "batch": 0}
        while self._served < self.num_batches:
            clips = self._take(self._share(self.epoch, self._served))
            block = {name: torch.from_numpy(value) for name, value in clips.items()}
            if self.pin_memory and torch.cuda.is_available():
                block = {name: value.pin_memory() for name, value in block.items()}
            for start in range(0, len(block["target"]), self.batch_size):
                self._served += 1
                yield {name: value[start : start + self.batch_size] for name, value in block.items()}

    def close(self) -> None:
        """End the workers; another iteration would start new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None
        self._ahead.clear()

    def _share(self, epoch: int, batch: int) -> Share:
        """Return the clips of a batch and of those after it that are rendered with it."""
        batches = min(self.block_batches, self.num_batches - batch)
        start = batch * self.batch_size * self.world_size + self.rank
        return Share(epoch, start, self.world_size, batches * self.batch_size)

    def _after(self, share: Share) -> Share:
        """Return the share that follows another, in its epoch or the next."""
        batch = share.start // (self.batch_size * self.world_size) + share.count // self.batch_size
        return self._share(share.epoch, batch) if batch < self.num_batches else self._share(share.epoch + 1, 0)

    def _take(self, share: Share) -> dict[str, np.ndarray]:
        """Return a share's clips, and have the following ones rendered meanwhile."""
        if not self.workers:
            return self.clips.render(share)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, initializer=_start_worker, initargs=(self.clips,))
        if self._ahead and self._ahead[0][0] != share:  # an epoch was cut short
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
                "data.workers: one of the processes that render clips was killed; if memory is short, give fewer"
            ) from error


_clips: FreshClips  # a worker's own


def _start_worker(clips: FreshClips) -> None:
    global _clips
    _clips = clips
    # a terminal's or a scheduler's signals reach workers too, but it is the run that ends them, when it has saved
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: Timer(_GRACE_SECONDS, os._exit, (1,)).start())
    torch.set_num_threads(1)  # another core is another worker's
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this worker when the run was killed outright, and could not tell it to."""
    connection.wait([parent_process().sentinel])
    os._exit(1)


def _render(share: Share) -> dict[str, np.ndarray]:
    return _clips.render(share)
