"""Runs of src/train.py as a user starts them, each on its own cores, for benchmarks that need many."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from kept import keep, load

from src.run.record import hardware

Run = TypeVar("Run")


def train(overrides: Sequence[str], seed: int, cores: list[int], data_dir: Path, folder: Path) -> dict[str, float]:
    """Train and test with one thread, on `cores` or, if none are named, on any; return the seconds that this took.

    `folder` is made; its `run` is the run's directory. Raise RuntimeError with the end of the output if it fails.
    """
    folder.mkdir(parents=True)
    paths = (f"paths.data_dir={data_dir}", f"hydra.run.dir={folder / 'run'}", f"paths.log_dir={folder / 'logs'}")
    one_thread = [] if any("num_threads" in word for word in overrides) else ["extras.num_threads=1"]
    command = [sys.executable, str(ROOT / "src/train.py"), *overrides, *one_thread, f"seed={seed}", "trainer=cpu"]
    began = time.perf_counter()
    with (folder / "output").open("w") as output:
        child = subprocess.Popen(
            [*command, *paths],
            env=os.environ | {"NUMBA_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError((folder / "output").read_text()[-2000:])
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "wall_seconds": time.perf_counter() - began}


def on_own_cores(runs: Sequence[Run], work: Callable[[Run, list[int]], None], jobs: int, seconds: float) -> None:
    """Call work(run, cores) for all runs, `jobs` at a time, each on its own cores; start nothing after `seconds`."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    places: SimpleQueue[list[int]] = SimpleQueue()
    for job in range(jobs):
        places.put(allowed[job::jobs])
    end = time.monotonic() + seconds

    def take(run: Run) -> None:
        cores = places.get()
        try:
            if time.monotonic() <= end:
                work(run, cores)
        finally:
            places.put(cores)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(take, runs))


def measure_missing(
    store: Path,
    runs: Mapping[str, tuple[Sequence[str], int]],
    results_of: Callable[[Path], dict[str, Any]],
    shown: Callable[[dict[str, Any]], str],
    data_dir: Path,
    jobs: int = 1,
    seconds: float = float("inf"),
) -> None:
    """Train and test what a file of results lacks, and keep each result there as soon as its run ends.

    `runs` holds overrides and a seed by key. Kept are the cost, the processor, the number of parameters, and
    `results_of` the run's directory; `shown` are the words that are printed of them. No run starts after `seconds`.
    """
    done = load(store)
    todo = [key for key in runs if key not in done]

    def work(key: str, cores: list[int]) -> None:
        folder = Path(scratch, str(todo.index(key)))
        try:
            used: dict[str, Any] = train(*runs[key], cores, data_dir, folder)
            (record,) = json.loads((folder / "run/run.json").read_text())["sessions"]
            about = {"processor": processor(), "parameters": record["num_parameters"]}
            done[key] = used | about | results_of(folder / "run")
        except RuntimeError as error:
            print(f"{key}: {error}", file=sys.stderr, flush=True)
            return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        keep(store, done)
        print(f"{key}: {shown(done[key])}, {done[key]['cpu_seconds']:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        on_own_cores(todo, work, jobs, seconds)


def processor() -> str:
    """Return the name of this machine's processor and its number of cores."""
    found = hardware()
    return f"{found['cpu'] or platform.machine()}, {found['cores']} cores"
