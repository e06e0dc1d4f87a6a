"""Compare endless data with files: clips per second through a micro network, and how long the network waits."""

import statistics
from pathlib import Path
from typing import Any

import torch
from bare import bare_trainer
from generation import recipe_of
from hydra import compose, initialize_config_dir
from lightning.pytorch.profilers import SimpleProfiler

from src.cli.instantiate import quiet_lightning
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_online_datamodule import VIMHOnlineDataModule
from src.models.build import build_model
from src.utils.plain import to_plain

ROOT = Path(__file__).resolve().parents[1]
_EPOCH = 16384
_ROUNDS = 5
_WAIT = "[_TrainingEpochLoop].train_dataloader_next"  # its name in Lightning's profiler


class _Silent(SimpleProfiler):
    def summary(self) -> str:
        return ""  # nothing is printed


def measure_online(folder: Path, batch_size: int = 128) -> list[dict[str, Any]]:
    """Return, for each synth and kind of data, clips/s, seconds per epoch and the share of them spent on waiting."""
    quiet_lightning()
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = to_plain(compose("train", overrides=["model=cnn_micro"]).model)
    results: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        for synth in ("moog_basic", "simple_saw"):
            recipe = recipe_of(synth, _EPOCH * 5 // 4)
            for kind, data in (
                ("files", VIMHDataModule(recipe=recipe, root=folder, batch_size=batch_size)),
                ("online", VIMHOnlineDataModule(_EPOCH, recipe=recipe, root=folder, batch_size=batch_size)),
            ):
                results.setdefault((synth, kind), []).append(_epoch(data, config, folder))
    rows = []
    for (synth, kind), runs in results.items():
        seconds, waited = (statistics.median(column) for column in zip(*runs, strict=True))
        rows.append({"synth": synth, "data": kind, "clips_per_second": _EPOCH / seconds, "seconds": seconds})
        rows[-1]["waiting"] = waited / seconds
    return rows


def _epoch(data: VIMHDataModule, config: dict, folder: Path) -> tuple[float, float]:
    """Return the seconds of a run's second epoch, when the workers already run, and those of them spent on waiting.

    The network has one thread. For such a small network this is as fast as two, and it leaves a core for rendering.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    profiler = _Silent()
    trainer = bare_trainer(2, profiler=profiler, default_root_dir=folder, use_distributed_sampler=False)
    trainer.fit(build_model(config, data.spec), datamodule=data)
    torch.set_num_threads(threads)
    durations = profiler.recorded_durations
    return durations["run_training_epoch"][-1], sum(durations[_WAIT][-trainer.num_training_batches :])
