"""Measure how fast clips are made, how much memory a million of them take, and how fast they are read."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src.data.dataset import images_to_float
from src.data.generate import available_cores, blocks
from src.data.recipe import parse_recipe
from src.data.source import BLOCK, load_source
from src.data.vimh_datamodule import VIMHDataModule

ROOT = Path(__file__).resolve().parents[1]
_BLOCKS = 128  # 8,192 clips: a few tenths of a second
_ROUNDS = 7


def recipe_of(synth: str, size: int) -> dict:
    """Return a shipped recipe as plain containers."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("generate", overrides=[f"synth={synth}", f"dataset.size={size}"])
    return {key: OmegaConf.to_container(config[key], resolve=True) for key in ("synth", "spectral", "dataset")}


def measure_generation() -> dict[str, float]:
    """Return clips per second of each synth, for rendering and analysis with one thread per core."""
    sources = {
        name: load_source(parse_recipe(recipe_of(name, _BLOCKS * BLOCK))) for name in ("moog_basic", "simple_saw")
    }
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for turn in range(_ROUNDS + 1):
        for name, source in sources.items():
            began = time.perf_counter()
            for _ in blocks(source, range(_BLOCKS), available_cores()):
                pass
            if turn:  # the first compiles
                rates[name].append(_BLOCKS * BLOCK / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in rates.items()}


def _generate(folder: Path, size: int) -> tuple[float, float]:
    """Return wall seconds and peak memory in GB of the generation command."""
    command = [sys.executable, "generate_vimh.py", "synth=moog_basic", f"dataset.size={size}"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, f"generate.output_dir={folder}"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {status}")
    unit = 1e9 if sys.platform == "darwin" else 1e6  # bytes on macOS, kilobytes on Linux
    return time.perf_counter() - began, usage.ru_maxrss / unit


def measure_million(folder: Path, size: int) -> dict[str, float]:
    """Generate `size` clips and a tenth as many from the shell, then open and read the large set."""
    small_seconds, _ = _generate(folder / "tenth", size // 10)
    start_seconds, _ = _generate(folder / "start", 64)
    seconds, peak = _generate(folder / "whole", size)
    directory = next((folder / "whole").iterdir())
    opening = []
    for _ in range(5):
        began = time.perf_counter()
        data = VIMHDataModule(directory, batch_size=128)
        data.setup("fit")
        opening.append(time.perf_counter() - began)
    loader = data.train_dataloader()
    rates = []
    for _ in range(5):
        began, count = time.perf_counter(), 0
        for batch in loader:
            count += len(images_to_float(batch["image"]))
            if count >= 400_000:
                break
        rates.append(count / (time.perf_counter() - began))
    return {
        "size": size,
        "seconds": seconds,
        "peak_gb": peak,
        "linearity": (seconds - start_seconds) / (10 * (small_seconds - start_seconds)),
        "open_seconds": statistics.median(opening),
        "loader": statistics.median(rates),
    }
