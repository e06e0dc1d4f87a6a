"""Measure a training step by threads and wait policy, alone and beside other work: python benchmarks/busy.py.

With OMP_WAIT_POLICY=ACTIVE, the default, a thread that waits for the others keeps its core busy for a while, so that
threads beside other work mostly wait for threads that have no core. The conditions take turns.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

_MODELS = ("cnn_micro", "cnn_64k", "vit_tiny", "convnext_288k")
_BUSY = "while True: pass"


def measure_step(model: str, threads: int, seconds: float) -> float:
    """Return the median milliseconds of a step of a batch of 128, in this process."""
    import torch
    from hydra import compose, initialize_config_dir

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
    batch = {"image": torch.rand(128, 1, 32, 32), "target": torch.rand(128, 4), "scale": torch.zeros(128, 2)}
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        began = time.perf_counter()
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of steps in each process")
    parser.add_argument("--models", nargs="+", default=_MODELS)
    parser.add_argument("--step", nargs=2, help="for this script's own processes: a model and a number of threads")
    given = parser.parse_args()
    if given.step:
        print(json.dumps(measure_step(given.step[0], int(given.step[1]), given.seconds)))
        return
    cores = os.cpu_count() or 1
    conditions = list(itertools.product(given.models, (0, cores), (1, cores), ("ACTIVE", "PASSIVE")))
    found: dict[tuple, list[float]] = {condition: [] for condition in conditions}
    for _ in range(given.rounds):
        for condition in conditions:
            model, others, threads, policy = condition
            busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(others)]
            try:
                line = [sys.executable, __file__, "--step", model, str(threads), "--seconds", str(given.seconds)]
                environment = os.environ | {"OMP_WAIT_POLICY": policy}
                done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            found[condition].append(float(done.stdout))
    print(f"{'model':14s} {'other work':>10s} {'threads':>7s}  {'policy':7s} {'ms a step':>9s}  lowest..highest")
    for (model, others, threads, policy), values in found.items():
        spread = f"{min(values):.1f}..{max(values):.1f}"
        print(f"{model:14s} {others:10d} {threads:7d}  {policy:7s} {statistics.median(values):9.1f}  {spread}")


if __name__ == "__main__":
    main()
