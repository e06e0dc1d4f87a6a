"""Measure a training step by threads and wait policy, alone and beside other work: python benchmarks/busy.py.

By default a thread of OpenMP that waits for the others keeps its core busy for a while, so that threads beside other
work mostly wait for threads that have no core. OMP_WAIT_POLICY=PASSIVE makes it sleep. The conditions take turns. Each
result is printed as soon as it is measured; `--keep FILE` also appends it to a file, as a line of JSON, and
`--table FILE...` prints the table of such files. `taskset -c 0,1 python benchmarks/busy.py` measures on two cores of a
larger machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.data.generate import available_cores
from src.utils.table import Column, markdown

_MODELS = ("cnn_micro", "cnn_64k", "vit_tiny", "convnext_288k")
_OTHERS = ("nothing", "busy loops", "a training")  # beside the measured process
_DEFAULT, _PASSIVE = "default", "passive"  # how a thread waits for others
_BUSY = "while True: pass"
_BATCH = 128


def measure_step(model: str, threads: int, seconds: float) -> float:
    """Return the median milliseconds of a step of a batch of 128, in this process."""
    import torch
    from hydra import compose, initialize_config_dir

    from src.data.dataset import Batch
    from src.data.inputs import Inputs
    from src.data.spec import DatasetSpec
    from src.models.build import build_model
    from src.parameters.space import ParameterSpace
    from src.parameters.spec import ParameterSpec
    from src.utils.plain import to_plain

    torch.set_num_threads(threads)
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = to_plain(compose("train", [f"model={model}", "paths.output_dir=."]).model)
    space = ParameterSpace(ParameterSpec(name=name, min=0, max=1) for name in "abcd")
    module = build_model(config, DatasetSpec("busy", Inputs((1, 32, 32)), space)).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.001)
    batch: Batch = {
        "image": torch.rand(_BATCH, 1, 32, 32),
        "target": torch.rand(_BATCH, 4),
        "scale": torch.zeros(_BATCH, 2),
    }
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        began = time.perf_counter()
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[2:])


def command(model: str, threads: int, seconds: float) -> list[str]:
    """Return the command that measures steps in a process of its own."""
    return [sys.executable, __file__, "--step", model, str(threads), "--seconds", str(seconds)]


def surroundings(policy: str) -> dict[str, str]:
    """Return the environment of a process with a wait policy."""
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    return others | ({"OMP_WAIT_POLICY": "PASSIVE"} if policy == _PASSIVE else {})


@contextmanager
def beside(others: str, model: str, threads: int, policy: str) -> Iterator[None]:
    """Run other work: a busy loop on each core, or a second training with the same settings."""
    lines: list[list[str]] = []
    if others == "busy loops":
        lines = [[sys.executable, "-c", _BUSY]] * available_cores()
    elif others == "a training":
        lines = [command(model, threads, seconds=3600)]
    started = [subprocess.Popen(line, env=surroundings(policy), stdout=subprocess.DEVNULL) for line in lines]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(model: str, others: str, threads: int, policy: str, seconds: float) -> float:
    """Return the median milliseconds of a step beside other work."""
    with beside(others, model, threads, policy):
        line = command(model, threads, seconds)
        done = subprocess.run(line, env=surroundings(policy), stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def table(results: list[dict]) -> str:
    """Return the medians of all rounds as Markdown: a row for each model and other work."""
    settings = sorted({(result["threads"], result["policy"]) for result in results})
    columns = [Column("network", text=True), Column("beside", text=True)]
    columns += [Column("1 thread" if threads == 1 else f"{threads} threads, {policy}") for threads, policy in settings]
    rows = []
    for model, others in dict.fromkeys((result["model"], result["others"]) for result in results):
        row = [model, others]
        for threads, policy in settings:
            wanted = {"model": model, "others": others, "threads": threads, "policy": policy}
            values = [result["ms"] for result in results if wanted.items() <= result.items()]
            row.append(_three_digits(statistics.median(values)) if values else "")
        rows.append(row)
    return markdown(columns, rows)


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of steps in each process")
    parser.add_argument("--models", nargs="+", default=_MODELS)
    parser.add_argument("--keep", type=Path, help="append each result to this file")
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of these files, and measure nothing")
    parser.add_argument("--step", nargs=2, help="for this script's own processes: a model and a number of threads")
    given = parser.parse_args()
    if given.step:
        print(json.dumps(measure_step(given.step[0], int(given.step[1]), given.seconds)))
        return
    if given.table:
        lines = [line for file in given.table for line in file.read_text().splitlines()]
        print(table([json.loads(line) for line in lines]))
        return
    settings = [
        (1, _DEFAULT),
        (available_cores(), _DEFAULT),
        (available_cores(), _PASSIVE),
    ]  # a single thread waits for no other
    conditions = [(model, others, *setting) for model in given.models for others in _OTHERS for setting in settings]
    results = []
    for _ in range(given.rounds):
        for model, others, threads, policy in conditions:
            milliseconds = measure(model, others, threads, policy, given.seconds)
            result = {"model": model, "others": others, "threads": threads, "policy": policy, "ms": milliseconds}
            results.append(result)
            print(f"{model:14s} beside {others:10s} {threads} {policy:7s} {milliseconds:9.1f} ms", flush=True)
            if given.keep:
                with given.keep.open("a") as file:
                    file.write(json.dumps(result) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
