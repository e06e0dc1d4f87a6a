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
from src.utils.files import write_whole


@dataclass(frozen=True)
class Figure:
    """A measured value, the median of its runs."""

    name: str
    value: float
    unit: str
    aim: str
    ancestor: str = ""
    interval: str = ""  # 95 %, for values of a test split


def collect(folder: Path, quick: bool) -> list[Figure]:
    """Run every benchmark below a scratch folder."""
    clips = measure_generation()
    million = measure_million(folder, 50_000 if quick else 1_000_000)
    step = measure_training_step(folder)
    startup = measure_startup(folder)
    loss = measure_loss_speed()
    size = f"{million['size']:,}"
    figures = [
        Figure("moog_basic, inside the generator", clips["moog_basic"], "clips/s", ">= 20,000", "16.6"),
        Figure("simple_saw, inside the generator", clips["simple_saw"], "clips/s", ">= 40,000", "2,100"),
        Figure("moog_basic, 16,384 clips from the shell", startup["shell_16k"], "s", "< 8"),
        Figure(f"moog_basic, {size} clips, wall", million["seconds"], "s", "linear in n"),
        Figure("  the same, time per clip / that of a tenth of the clips", million["linearity"], "x", "about 1"),
        Figure("  the same, peak memory", million["peak_gb"], "GB", "< 1"),
        Figure(f"opening and checking {size} samples", million["open_seconds"], "s", "< 0.5"),
        Figure("loader, float batches of 128, 32x32x1", million["loader"], "samples/s", ">= 500,000", "11,800"),
        Figure("training step: default callbacks and loggers / bare loop", step["ratio"], "x", "<= 1.3"),
        Figure("  bare loop, micro CNN, batch 128", step["bare_ms"], "ms", ""),
        Figure("mistyped override refused", startup["typo"], "s", "< 1.5", "11"),
        Figure("--help", startup["help"], "s", "< 1.5"),
        Figure("multi-resolution STFT loss / auraloss's, speed", loss["multi_resolution_ratio"], "x", ">= 2"),
        Figure("  the same, target prepared", loss["multi_resolution_prepared_ratio"], "x", ">= 3"),
        Figure("  forward and backward, 8 x 1 s at 44.1 kHz", loss["multi_resolution_ms"], "ms", ""),
    ]
    if not quick:
        figures += training_system(folder)
        figures += [Figure(*row) for row in measure_accuracy(folder)]
    return figures


def training_system(folder: Path) -> list[Figure]:
    """Measure what choices of the training system cost or gain."""
    figures = [Figure("command to first training step", measure_first_step(folder), "s", "")]
    for name, ratio in measure_wrappers().items():
        figures.append(Figure(f"step with wrapper={name} / without", ratio, "x", "2" if "sam" in name else "1"))
    for family, ratio in measure_bfloat16().items():
        figures.append(Figure(f"step with bf16-mixed / float32 on this CPU, {family}", ratio, "x", ""))
    figures.append(Figure("two processes / one, samples/s, micro CNN", measure_two_processes(folder), "x", ""))
    for launcher, seconds in measure_sweep(folder).items():
        name = f"sweep, end of a trial to the first step of the next, {launcher}"
        figures.append(Figure(name, seconds, "s", "< 2"))
    rows = {(row["synth"], row["data"]): row for row in measure_online(folder)}
    for synth in sorted({synth for synth, _ in rows}):
        online, files = rows[synth, "online"], rows[synth, "files"]
        ratio = online["clips_per_second"] / files["clips_per_second"]
        figures.append(Figure(f"training on endless data / on files, clips/s, {synth}", ratio, "x", "1"))
        figures.append(Figure("  share of the time that the network waits for data", 100 * online["waiting"], "%", ""))
    return figures


def markdown(figures: list[Figure], machine: str) -> str:
    """Return the table as Markdown."""
    rows = ["| what | measured | aim | ancestor |", "|---|---|---|---|"]
    for figure in figures:
        interval = figure.interval and f"({figure.interval})"
        measured = " ".join(filter(None, (show(figure.value), figure.unit, interval)))
        rows.append(f"| {figure.name.strip()} | {measured} | {figure.aim} | {figure.ancestor} |")
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
        figures = collect(Path(folder), quick)
    table = markdown(figures, machine)
    print(table)
    if not quick:
        networks, directions = backbones.measure_backbones(), measure_loss_direction()
        content = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
        content |= {"backbones": networks, "loss_direction": directions}
        store = ROOT / "benchmarks/results.json"
        kept = {"experiments": json.loads(store.read_text()).get("experiments", {})}  # see experiments.py
        write_whole(store, (json.dumps(content | kept, indent=1) + "\n").encode())
        update_block("benchmarks", table)
        update_block("backbones", backbones.markdown(networks))
        update_block("directions", directions_table(directions))


if __name__ == "__main__":
    main()
