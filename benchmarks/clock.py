"""A callback that writes down when things happened, for benchmarks that run the entry points as commands."""

import json
import os
import time
from pathlib import Path

from lightning import Callback, LightningModule, Trainer


class Clock(Callback):
    """Append one line of JSON per run to `path`: process, time of the first step, seconds of each epoch, end time."""

    def __init__(self, path: str):
        self.path = Path(path)
        self.epochs: list[float] = []
        self.first_step: float | None = None

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.began = time.time()

    def on_train_batch_end(self, *_: object) -> None:
        if self.first_step is None:
            self.first_step = time.time()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.epochs.append(time.time() - self.began)

    def on_test_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.is_global_zero:
            line = {"pid": os.getpid(), "first_step": self.first_step, "epochs": self.epochs, "end": time.time()}
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
