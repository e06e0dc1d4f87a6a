"""Measure the cost of Lightning, default callbacks, metrics and loggers over a bare loop on the same batches."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from generation import recipe_of
from hydra import compose, initialize_config_dir
from lightning import Callback

from src.cli.instantiate import build_trainer, quiet_lightning
from src.data.dataset import images_to_float
from src.data.vimh_datamodule import VIMHDataModule
from src.models.build import build_model
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.plain import to_plain

ROOT = Path(__file__).resolve().parents[1]
_SIZE = 16384
_EPOCHS = 31  # the first fills caches


class _InTurns(Callback):
    """Measure the seconds of each training epoch, with logging and checkpoints at its end, without validation.

    After each epoch `other` runs, so that other load on the machine slows both down.
    """

    def __init__(self, other: Callable[[], float]) -> None:
        self.other = other
        self.seconds: list[tuple[float, float]] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.began = time.perf_counter()

    def on_validation_start(self, *_: object) -> None:
        self.paused = time.perf_counter()

    def on_validation_epoch_end(self, *_: object) -> None:
        self.began += time.perf_counter() - self.paused

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append((time.perf_counter() - self.began, self.other()))


def measure_training_step(folder: Path) -> dict[str, float]:
    """Return the step of the bare loop in ms, and the median ratio of Lightning's step to it, in turns."""
    quiet_lightning()
    data = VIMHDataModule(recipe=recipe_of("moog_basic", _SIZE), root=folder, batch_size=128)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        paths = [f"paths.output_dir={folder}/run", f"paths.log_dir={folder}"]
        composed = compose("train", ["model=cnn_micro", "trainer=cpu", f"trainer.max_epochs={_EPOCHS}", *paths])
    config = to_plain(composed.model)
    model = build_model(config, data.spec).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    turns = _InTurns(lambda: _bare_epoch(data, model, optimizer))
    trainer = build_trainer(composed)
    trainer.callbacks.append(turns)  # type: ignore[attr-defined]  # Lightning does not declare it
    trainer.fit(build_model(config, data.spec), datamodule=data)
    pairs = turns.seconds[1:]
    milliseconds = 1000 * statistics.median(bare for _, bare in pairs) / len(data.train_dataloader())
    return {"bare_ms": milliseconds, "ratio": statistics.median(lightning / bare for lightning, bare in pairs)}


def _bare_epoch(data: VIMHDataModule, model: VIMHLitModule, optimizer: torch.optim.Optimizer) -> float:
    began = time.perf_counter()
    for batch in data.train_dataloader():
        features = model.features(images_to_float(batch["image"]))
        losses, _ = model.heads.batch_losses(model.heads(features), batch)
        loss = model.heads.total(losses, features)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began
