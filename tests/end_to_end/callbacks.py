"""Callbacks that disturb a run, named by dotted path in a test's overrides."""

from pathlib import Path

from lightning.pytorch.callbacks import Callback


class Interrupt(Callback):
    """Ctrl-C at the start of an epoch, or within it at a batch."""

    def __init__(self, epoch: int, batch: int = 0):
        self.epoch, self.batch = epoch, batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == self.batch:
            raise KeyboardInterrupt


class Overwrite(Callback):
    """Copies one directory's files over another's, in place, when training starts: after they may have been opened."""

    def __init__(self, source: str, target: str):
        self.source, self.target = Path(source), Path(target)

    def on_train_start(self, trainer, pl_module):
        for path in self.source.iterdir():
            with (self.target / path.name).open("r+b") as file:
                file.write(path.read_bytes())
