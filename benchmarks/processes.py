"""Measure the cost of whole commands: up to the first step, with two processes, and per trial of a sweep.

python benchmarks/processes.py
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LAUNCHERS = {  # each process runs its trials one after another
    "basic": ["hydra.sweeper.n_jobs=1"],
    "joblib": ["hydra.sweeper.n_jobs=2", "hydra/launcher=joblib"],
    "ray": ["hydra.sweeper.n_jobs=2", "hydra/launcher=ray"],
}


def measure_first_step(folder: Path, rounds: int = 5) -> float:
    """Return the median seconds from the command to the end of its first training step."""
    seconds = []
    for turn in range(rounds + 1):
        began = time.time()
        (run,) = _train(folder, "dataset.size=256", "trainer=cpu", "trainer.max_epochs=1")
        if turn:  # the first fills caches, and makes the dataset
            seconds.append(run["first_step"] - began)
    return statistics.median(seconds)


def measure_two_processes(folder: Path, rounds: int = 5) -> float:
    """Return the speed of two processes divided by that of one: micro CNN, 128 samples per step, one thread each."""
    common = ("synth=moog_basic", "dataset.size=16384", "trainer.max_epochs=2", "extras.num_threads=1")
    ratios = []
    for _ in range(rounds):
        (single,) = _train(folder, *common, "trainer=cpu", "data.batch_size=128")
        (double,) = _train(folder, *common, "trainer=ddp_sim", "data.batch_size=64")
        ratios.append(single["epochs"][-1] / double["epochs"][-1])
    return statistics.median(ratios)


def measure_sweep(folder: Path, trials: int = 8) -> dict[str, float]:
    """Return, for each launcher, the median seconds from the end of a trial to the first step of the next."""
    results = {}
    for name, overrides in _LAUNCHERS.items():
        runs = _train(
            folder,
            *("-m", "hparams_search=vimh_optuna", f"hydra.sweeper.n_trials={trials}"),
            f"hydra.sweeper.study_name={name}-{time.time_ns()}",  # a complete study would run no trials
            "test=true",  # the clock writes its line after the test
            *("dataset.size=256", "trainer=cpu", "trainer.max_epochs=2", "extras.num_threads=1", *overrides),
        )
        gaps = [
            later["first_step"] - earlier["end"]
            for pid in {run["pid"] for run in runs}
            for earlier, later in pairwise(run for run in runs if run["pid"] == pid)
        ]
        results[name] = statistics.median(gaps)
    return results


def _train(folder: Path, *overrides: str) -> list[dict]:
    """Run the command; return the line of the clock of each of its runs, in the order in which they ended."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".jsonl") as file:
        clock = f"+callbacks.clock={{_target_: clock.Clock, path: {file.name}}}"
        paths = (f"paths.data_dir={folder}/data", f"paths.log_dir={folder}/logs")
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'benchmarks'}:{os.environ.get('PYTHONPATH', '')}"}
        command = [sys.executable, "src/train.py", *overrides, *paths, clock]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return [json.loads(line) for line in Path(file.name).read_text().splitlines()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        print("first step, s", round(measure_first_step(scratch), 2))
        print("two processes / one", round(measure_two_processes(scratch), 2))
        print("sweep, s per trial", {name: round(seconds, 2) for name, seconds in measure_sweep(scratch).items()})
