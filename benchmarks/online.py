"""Endless data against files: clips a second through a micro network, and how long the network waits for them."""

import statistics
from pathlib import Path

import torch
from bare import bare_trainer
from generation import recipe_of
from hydra import compose, initialize_config_dir
from lightning.pytorch.profilers import SimpleProfiler
from omegaconf import OmegaConf

from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_online_datamodule import VIMHOnlineDataModule
from src.models.build import build_model
from src.utils.instantiate import quiet_lightning

ROOT = Path(__file__).resolve().parents[1]
_EPOCH = 16384
_ROUNDS = 5
_WAIT = "[_TrainingEpochLoop].train_dataloader_next"  # as Lightning's profiler calls it


class _Silent(SimpleProfiler):
    def summary(self) -> str:
        return ""  # nothing is printed


def measure_online(folder: Path, batch_size: int = 128) -> list[dict[str, float | str]]:
    """Return, per synth and kind of data, samples/s, seconds of an epoch and the share of it that is waiting."""
    quiet_lightning()
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", overrides=["model=cnn_micro"]).model, resolve=True)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        for synth in ("moog_basic", "simple_saw"):
            settings = {"recipe": recipe_of(synth, _EPOCH * 5 // 4), "root": folder, "batch_size": batch_size}
            for kind, data in (
                ("files", VIMHDataModule(**settings)),
                ("online", VIMHOnlineDataModule(epoch_size=_EPOCH, **settings)),
            ):
                found.setdefault((synth, kind), []).append(_epoch(data, config, folder))
    rows = []
    for (synth, kind), runs in found.items():
        seconds, waited = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append({"synth": synth, "data": kind, "clips_per_second": _EPOCH / seconds, "seconds": seconds})
        rows[-1]["waiting"] = waited / seconds
    return rows


def _epoch(data: VIMHDataModule, config: dict, folder: Path) -> tuple[float, float]:
    """Return the seconds of a run's second epoch, whose workers are there already, and those spent on waiting.

    The network has one thread, which is as fast for one so small, and leaves a core to the rendering.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    profiler = _Silent()
    trainer = bare_trainer(2, profiler=profiler, default_root_dir=folder, use_distributed_sampler=False)
    trainer.fit(build_model(config, data.spec), datamodule=data)
    torch.set_num_threads(threads)
    durations = profiler.recorded_durations
    return durations["run_training_epoch"][-1], sum(durations[_WAIT][-trainer.num_training_batches :])
