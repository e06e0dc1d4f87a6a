"""Callbacks that disturb a run, named by dotted path in a test's overrides."""

import os
import signal
from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Interrupt(Callback):
    """Ctrl-C at the start of an epoch, or within it at a batch."""

    def __init__(self, epoch: int, batch: int = 0):
        self.epoch, self.batch = epoch, batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == self.batch:
            raise KeyboardInterrupt


class InterruptTest(Callback):
    """Ctrl-C in testing."""

    def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        raise KeyboardInterrupt


class Signal(Callback):
    """A signal to this process itself at the start of a batch, or twice in it, or at the start of a validation."""

    def __init__(self, name: str, epoch: int, batch: int | None, twice: bool = False):
        self.number, self.epoch, self.batch, self.twice = signal.Signals[name], epoch, batch, twice

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == self.batch:
            for _ in range(1 + self.twice):
                os.kill(os.getpid(), self.number)

    def on_validation_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch and self.batch is None:
            os.kill(os.getpid(), self.number)


class Overwrite(Callback):
    """Copies one directory's files over another's, in place, when training starts: after they may have been opened.

    The time of their modification stays as it was, since a change of files in use is refused.
    """

    def __init__(self, source: str, target: str):
        self.source, self.target = Path(source), Path(target)

    def on_train_start(self, trainer, pl_module):
        for path in self.source.iterdir():
            target = self.target / path.name
            modified = target.stat().st_mtime_ns
            with target.open("r+b") as file:
                file.write(path.read_bytes())
            os.utime(target, ns=(modified, modified))
