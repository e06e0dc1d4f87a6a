"""Measure how long a user waits for a refused command, for --help and for a generation."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _seconds(*arguments: str, succeeds: bool = True) -> float:
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=False)
    if (done.returncode == 0) != succeeds:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return time.perf_counter() - began


def measure_startup(folder: Path) -> dict[str, float]:
    """Return the median seconds of a refused typo, of --help, and of a whole generation of 16,384 clips."""
    times: dict[str, list[float]] = {"typo": [], "help": [], "shell_16k": []}
    for turn in range(6):
        rounds = {
            "typo": _seconds("src/train.py", "trainer.max_epoch=3", succeeds=False),
            "help": _seconds("src/train.py", "--help"),
            "shell_16k": _seconds(
                *("generate_vimh.py", "synth=moog_basic", "dataset.size=16384"),
                *(f"generate.output_dir={folder}/shell", "overwrite=true"),
            ),
        }
        if turn:  # the first fills caches
            for name, seconds in rounds.items():
                times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}
