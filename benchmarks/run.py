"""Measure speed and accuracy; print one table, write it to results.json and into the docs: `make bench`."""

import argparse
import json
import platform
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)
sys.path.insert(0, str(ROOT / "benchmarks"))

import backbones
import torch
from accuracy import measure_accuracy
from generation import measure_generation, measure_million
from ladder import measure_differentiable
from loss_direction import markdown as directions_table
from loss_direction import measure_loss_direction
from loss_speed import measure_loss_speed
from online import measure_online
from optimizers import measure_bfloat16, measure_wrappers
from processes import measure_first_step, measure_sweep, measure_two_processes
from readme import update_block
from startup import measure_startup
from training_step import measure_training_step

from src.data.generate import available_cores
from src.utils.files import write_atomic


@dataclass(frozen=True)
class Result:
    """A measured value, the median of its runs."""

    name: str
    value: float
    unit: str
    target: str
    predecessor: str = ""
    interval: str = ""  # 95 %, for values of a test split


def collect(folder: Path, quick: bool) -> list[Result]:
    """Run every benchmark below a scratch folder."""
    clips = measure_generation()
    million = measure_million(folder, 50_000 if quick else 1_000_000)
    step = measure_training_step(folder)
    startup = measure_startup(folder)
    loss = measure_loss_speed()
    size = f"{million['size']:,}"
    results = [
        Result("moog_basic, inside the generator", clips["moog_basic"], "clips/s", ">= 20,000", "16.6"),
        Result("simple_saw, inside the generator", clips["simple_saw"], "clips/s", ">= 40,000", "2,100"),
        Result("moog_basic, 16,384 clips from the shell", startup["shell_16k"], "s", "< 8"),
        Result(f"moog_basic, {size} clips, wall", million["seconds"], "s", "linear in n"),
        Result("time per clip, relative to a dataset of a tenth of the size", million["linearity"], "x", "about 1"),
        Result("peak memory of this generation", million["peak_gb"], "GB", "< 1"),
        Result(f"opening and checking {size} samples", million["open_seconds"], "s", "< 0.5"),
        Result("loader, float batches of 128, 32x32x1", million["loader"], "samples/s", ">= 500,000", "11,800"),
        Result(
            "training step with default callbacks and loggers, relative to a bare loop", step["ratio"], "x", "<= 1.3"
        ),
        Result("step of the bare loop, micro CNN, batch of 128", step["bare_ms"], "ms", ""),
        Result("mistyped override refused", startup["typo"], "s", "< 1.5", "11"),
        Result("--help", startup["help"], "s", "< 1.5"),
        Result("multi-resolution STFT loss, speed relative to auraloss", loss["multi_resolution_ratio"], "x", ">= 2"),
        Result(
            "multi-resolution STFT loss, target prepared, speed relative to auraloss",
            loss["multi_resolution_prepared_ratio"],
            "x",
            ">= 3",
        ),
        Result(
            "multi-resolution STFT loss, forward and backward, 8 x 1 s at 44.1 kHz",
            loss["multi_resolution_ms"],
            "ms",
            "",
        ),
    ]
    results += [Result(name, ratio, "x", target) for name, ratio, target in measure_differentiable()]
    if not quick:
        results += training_system(folder)
        results += [Result(*row) for row in measure_accuracy(folder)]
    return results


def training_system(folder: Path) -> list[Result]:
    """Measure what choices of the training system cost or gain."""
    results = [Result("command to first training step", measure_first_step(folder), "s", "")]
    for name, ratio in measure_wrappers().items():
        results.append(
            Result(f"step with wrapper={name}, relative to no wrapper", ratio, "x", "2" if "sam" in name else "1")
        )
    for family, ratio in measure_bfloat16().items():
        results.append(Result(f"step with bf16-mixed, relative to float32, {family}", ratio, "x", ""))
    results.append(
        Result("samples/s of two processes, relative to one, micro CNN", measure_two_processes(folder), "x", "")
    )
    for launcher, seconds in measure_sweep(folder).items():
        name = f"sweep, end of a trial to the first step of the next, {launcher}"
        results.append(Result(name, seconds, "s", "< 2"))
    rows = {(row["synth"], row["data"]): row for row in measure_online(folder)}
    for synth in sorted({synth for synth, _ in rows}):
        online, files = rows[synth, "online"], rows[synth, "files"]
        ratio = online["clips_per_second"] / files["clips_per_second"]
        results.append(Result(f"clips/s of training on online data, relative to files, {synth}", ratio, "x", "1"))
        results.append(
            Result(
                f"share of the time that the network waits for online data, {synth}", 100 * online["waiting"], "%", ""
            )
        )
    return results


def markdown(results: list[Result], machine: str) -> str:
    """Return the table as Markdown."""
    rows = ["| quantity | measured | target | predecessor |", "|---|---|---|---|"]
    for result in results:
        interval = result.interval and f"({result.interval})"
        measured = " ".join(filter(None, (show(result.value), result.unit, interval)))
        rows.append(f"| {result.name} | {measured} | {result.target} | {result.predecessor} |")
    return "\n".join([*rows, "", f"Medians, measured on {machine}; in brackets 95 % intervals over the test sounds."])


def show(value: float) -> str:
    """Return a value with its significant digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no accuracy, 50,000 clips; prints only")
    quick = parser.parse_args().quick
    machine = f"{available_cores()} cores ({platform.machine()}), torch {torch.__version__}, {date.today()}"
    with tempfile.TemporaryDirectory() as folder:
        results = collect(Path(folder), quick)
    table = markdown(results, machine)
    print(table)
    if not quick:
        networks, directions = backbones.measure_backbones(), measure_loss_direction()
        content = {"machine": machine, "results": [asdict(result) for result in results]}
        content |= {"backbones": networks, "loss_direction": directions}
        store = ROOT / "benchmarks/results.json"
        kept = {"experiments": json.loads(store.read_text()).get("experiments", {})}  # see experiments.py
        write_atomic(store, (json.dumps(content | kept, indent=1) + "\n").encode())
        update_block("benchmarks", table)
        update_block("backbones", backbones.markdown(networks))
        update_block("directions", directions_table(directions))


if __name__ == "__main__":
    main()
