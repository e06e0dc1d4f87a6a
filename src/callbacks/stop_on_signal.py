"""End a run between two batches, with a checkpoint, on Ctrl-C, a scheduler's SIGTERM or SLURM's warning."""

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
from lightning.pytorch.callbacks import Checkpoint

from src.callbacks.resumable_checkpoint import can_resume_after
from src.utils.errors import Interrupted
from src.utils.terminal import is_interactive

log = logging.getLogger(__name__)

_EVERY = 10  # steps between two exchanges of the processes: an exchange may take longer than a step


class StopOnSignal(Checkpoint):
    """Saves `path`, if given, at the end of the batch in which a signal arrives, and raises Interrupted.

    It handles signals inside its `with` block, around the fit; a second signal stops immediately. A resumed run
    continues with the next batch: the order of batches is a function of the seed and the epoch, so the loader skips the
    batches of the epoch that were used before. The base class is Checkpoint so that Lightning calls this callback last
    at the end of an epoch.
    """

    def __init__(self, path: Path | None, advice: str):
        self.path, self.advice = path, advice
        self.received: int | None = None
        self._has_signal = False  # received here, not by another process

    def __enter__(self) -> None:
        self._pid = os.getpid()
        self._room = "\n\n" if is_interactive() else ""  # for the progress bar, which draws over the last two lines
        self._before = self._listen()  # workers inherit the handler, since otherwise Ctrl-C would end them

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen()  # Lightning has replaced the handlers
        _skip_used_batches(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.world_size > 1 and batch_idx // trainer.accumulate_grad_batches % _EVERY:
            return  # counts steps: if a step has an even number of batches, every tenth batch may never end one
        if can_resume_after(trainer, batch_idx) and self._stopping(trainer):
            self._save(trainer)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._stopping(trainer):
            self._save(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._stopping(trainer):  # the previous epoch is saved and logged
            self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._stopping(trainer):
            self._stop(trainer)

    def _listen(self) -> dict[int, Any]:
        """Handle the signals and return the previous handlers; {} in a thread of a sweep, which cannot handle them."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
        return {number: signal.signal(number, self._receive) for number in handled}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return
        if self._has_signal:
            raise KeyboardInterrupt
        self._has_signal, self.received = True, number
        repeat = "press Ctrl-C again" if number == signal.SIGINT else "send the signal again"
        text = f"\nstopping after this batch; {repeat} to quit now\n{self._room}"
        os.write(2, text.encode())  # logging is not reentrant

    def _stopping(self, trainer: Trainer) -> bool:
        """Return whether any process received a signal, the same for all. A later signal waits for another call."""
        stopping = self.received is not None
        if trainer.world_size > 1:
            stopping = trainer.strategy.reduce_boolean_decision(stopping, all=False)
        if stopping and self.received is None:
            self.received = signal.SIGTERM
        return stopping

    def _save(self, trainer: Trainer) -> None:
        if self.path:
            trainer.save_checkpoint(self.path, weights_only=False)

    def _stop(self, trainer: Trainer) -> None:
        job = os.environ.get("SLURM_JOB_ID") if trainer.is_global_zero else None
        if job and self.received == signal.SIGUSR1 and shutil.which("scontrol"):
            log.info("asking SLURM to requeue job %s", job)
            subprocess.run(["scontrol", "requeue", job], check=False)
        saved = f"saved {self.path}" if self.path and self.path.is_file() else "there is no checkpoint"
        number = self.received or signal.SIGTERM
        raise Interrupted(f"{signal.Signals(number).name}: {saved}; {self.advice}", number)


def _skip_used_batches(trainer: Trainer) -> None:
    """Restart the loader of a resumed run in the run's epoch, after the batches that were used before.

    Lightning creates the loader before it reads the checkpoint, to count its batches for the schedule. That loader is
    at the first batch of epoch 0, where its workers start to load immediately.
    """
    loop: Any = trainer.fit_loop  # whose progress Lightning declares incompletely
    loader: Any = trainer.train_dataloader
    fetcher = loop._data_fetcher
    if not trainer.ckpt_path:
        return
    samplers: list[Any] = [loader.sampler, getattr(loader, "batch_sampler", None)]
    for sampler in samplers:
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(loop.epoch_progress.current.processed)
    used = loop.epoch_loop.batch_progress.current.processed if loop.restarted_mid_epoch else 0
    if hasattr(loader, "load_state_dict"):  # it can start anywhere; other loaders must load the skipped batches
        for state in loop._combined_loader_states_to_load:
            loader.load_state_dict(state)
        used = 0
    iter(fetcher)
    for _ in range(used):
        next(fetcher)
    fetcher.fetched = 0  # Lightning adds the used batches itself
