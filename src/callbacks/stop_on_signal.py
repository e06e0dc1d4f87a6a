"""Ctrl-C, a scheduler's SIGTERM and SLURM's warning end a run between two batches, with a checkpoint."""

import logging
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.utilities.data import _set_sampler_epoch
from lightning.pytorch.callbacks import Checkpoint

from src.callbacks.resumable_checkpoint import can_resume_after
from src.utils.errors import Interrupted

log = logging.getLogger(__name__)

_EVERY = 10  # steps after which processes ask each other: an exchange at each one would cost more than a small step


class StopOnSignal(Checkpoint):
    """Saves `path`, where one is given, at the end of the batch in which a signal came, and raises Interrupted.

    It listens inside its own `with`, around the fit; a signal that comes twice stops at once. A resumed run goes on
    with the next batch: the order of batches is a function of the seed and the epoch, so that those of the epoch that
    were seen are drawn again and left out. It is a Checkpoint to Lightning, to act after all others at an epoch's end.
    """

    def __init__(self, path: Path | None, advice: str):
        self.path, self.advice = path, advice
        self.received: int | None = None
        self._is_told = False  # by a signal of its own, not by another process

    def __enter__(self) -> None:
        self._pid = os.getpid()
        self._before = self._listen()  # workers are forked with it: Ctrl-C reaches them as well, and would end them

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()  # Lightning has put its own in their place
        _leave_out_seen_batches(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.world_size > 1 and batch_idx // trainer.accumulate_grad_batches % _EVERY:
            return  # counted in steps: of an even number of batches a step, every tenth batch would never end one
        if can_resume_after(trainer, batch_idx) and self._stopping(trainer):
            self._save(trainer)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._stopping(trainer):
            self._save(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._stopping(trainer):  # the epoch before is saved, and its figures are logged
            self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._stopping(trainer):
            self._stop(trainer)

    def _listen(self) -> dict[int, Any]:
        """Take the signals and return who had them; a sweep may train in a thread that cannot."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {one: signal.signal(one, self._receive) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return
        if self._is_told:
            raise KeyboardInterrupt
        self._is_told, self.received = True, number
        os.write(2, b"\nstopping after this batch; the same once more stops at once\n")  # logging is not reentrant

    def _stopping(self, trainer: Trainer) -> bool:
        """Tell whether any process was told to stop: the same to all, so one told while they ask waits for the next."""
        told = self.received is not None
        if trainer.world_size > 1:
            told = trainer.strategy.reduce_boolean_decision(told, all=False)
        if told and self.received is None:
            self.received = signal.SIGTERM
        return told

    def _save(self, trainer: Trainer) -> None:
        if self.path:
            trainer.save_checkpoint(self.path, weights_only=False)

    def _stop(self, trainer: Trainer) -> None:
        job = os.environ.get("SLURM_JOB_ID") if trainer.is_global_zero else None
        if job and self.received == signal.SIGUSR1 and shutil.which("scontrol"):
            log.info("asking SLURM to queue job %s again", job)
            subprocess.run(["scontrol", "requeue", job], check=False)
        saved = f"saved {self.path}" if self.path and self.path.is_file() else "there is no checkpoint"
        raise Interrupted(f"{signal.Signals(self.received).name}: {saved}; {self.advice}", self.received)


def _leave_out_seen_batches(trainer: Trainer) -> None:
    """Begin a resumed run's loader anew in its epoch, after what of it was seen already.

    Lightning asks for the loader before it has read the checkpoint, to count its batches for the schedule: that one
    is in epoch 0, which workers load from at once, and at its first batch.
    """
    loop = trainer.fit_loop
    loader, fetcher = trainer.train_dataloader, loop._data_fetcher
    if not trainer.ckpt_path:
        return
    _set_sampler_epoch(loader, loop.epoch_progress.current.processed)
    seen = loop.epoch_loop.batch_progress.current.processed if loop.restarted_mid_epoch else 0
    if hasattr(loader, "load_state_dict"):  # it can begin there, where others have to be drawn from
        for state in loop._combined_loader_states_to_load:
            loader.load_state_dict(state)
        seen = 0
    iter(fetcher)
    for _ in range(seen):
        next(fetcher)
    fetcher.fetched = 0  # Lightning adds the batches seen itself
