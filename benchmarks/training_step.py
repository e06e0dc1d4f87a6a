"""What Lightning, the default callbacks, metrics and loggers cost over a bare loop of the same network and batches."""

import statistics
import time
from pathlib import Path

import torch
from generation import recipe_of
from hydra import compose, initialize_config_dir
from lightning import Callback
from omegaconf import DictConfig, OmegaConf

from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import images_to_float
from src.models.build import build_model
from src.utils.instantiate import build_trainer, quiet_lightning

ROOT = Path(__file__).resolve().parents[1]
_SIZE = 16384
_ROUNDS = 7


class _EpochTimer(Callback):
    """Seconds of each training epoch, logging and checkpoints at its end included, validation left out."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.began = time.perf_counter()

    def on_validation_start(self, *_: object) -> None:
        self.paused = time.perf_counter()

    def on_validation_epoch_end(self, *_: object) -> None:
        self.began += time.perf_counter() - self.paused

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def measure_training_step(folder: Path) -> dict[str, float]:
    """Return the bare loop's step in ms, and the median ratio of Lightning's to it, in turns."""
    quiet_lightning()
    data = VIMHDataModule(recipe=recipe_of("moog_basic", _SIZE), root=folder, batch_size=128)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        paths = [f"paths.output_dir={folder}/run", f"paths.log_dir={folder}"]
        composed = compose("train", ["model=cnn_micro", "trainer=cpu", "trainer.max_epochs=2", *paths])
    config = OmegaConf.to_container(composed.model, resolve=True)
    steps = len(data.train_dataloader())
    ratios, bare = [], []
    for turn in range(_ROUNDS + 1):
        plain, lightning = _bare_epoch(data, config), _lightning_epoch(data, config, composed)
        if turn:  # the first fills caches
            bare.append(plain / steps)
            ratios.append(lightning / plain)
    return {"bare_ms": 1000 * statistics.median(bare), "ratio": statistics.median(ratios)}


def _bare_epoch(data: VIMHDataModule, config: dict) -> float:
    model = build_model(config, data.spec).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        for batch in data.train_dataloader():
            features = model.network(images_to_float(batch["image"]))
            losses, _ = model.heads.losses(model.heads(features), batch["target"])
            loss = model.heads.total(losses, features)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - began)
    return seconds[-1]


def _lightning_epoch(data: VIMHDataModule, config: dict, composed: DictConfig) -> float:
    trainer, timer = build_trainer(composed), _EpochTimer()
    trainer.callbacks.append(timer)
    trainer.fit(build_model(config, data.spec), datamodule=data)
    return timer.seconds[-1]
