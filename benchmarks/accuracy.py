"""Measure the accuracy of the micro network on 16,384 clips, and that of a closed form."""

import json
import subprocess
import sys
import time
from pathlib import Path

from baselines import closed_form_decay

from src.data.info import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.intervals import Interval, proportion_interval

ROOT = Path(__file__).resolve().parents[1]


def _train(experiment: str, folder: Path) -> tuple[dict, float, Path]:
    """Run an experiment as a user would; return its results, wall seconds and dataset directory."""
    logs, data = folder / f"logs_{experiment}", folder / "data"
    command = [sys.executable, "src/train.py", f"experiment={experiment}", "trainer=cpu"]
    began = time.perf_counter()
    subprocess.run(
        [*command, f"paths.log_dir={logs}", f"paths.data_dir={data}"], cwd=ROOT, check=True, capture_output=True
    )
    seconds = time.perf_counter() - began
    results = json.loads(next(logs.glob("train/runs/*/test_results.json")).read_text())
    return results, seconds, data / results["dataset"]


def measure_accuracy(folder: Path) -> list[tuple[str, float, str, str, str, str]]:
    """Return the accuracy rows of the benchmark table: the fields of run.Result."""
    saw, saw_seconds, directory = _train("simple_saw_16k", folder)
    spec, test = read_spec(directory), VIMHDataset(directory, "test")
    decay = closed_form_decay(test.__getitems__(range(len(test)))["image"].numpy(), spec)
    truth = spec.space.denormalize(test.targets())
    column = spec.space.index("log10_decay_time")
    guess = truth.copy()
    guess[:, column] = decay
    hits = (spec.space.to_class(guess) == spec.space.to_class(truth))[:, column]
    closed = _percent(proportion_interval(int(hits.sum()), len(hits)))
    by_name = {row["name"]: row for row in saw["rows"]}
    decay_row, velocity_row = by_name["log10_decay_time"], by_name["note_velocity"]
    accuracy, near = 100 * decay_row["accuracy"], 100 * velocity_row["within_one_step"]
    accuracy_interval = _percent(decay_row["intervals"]["accuracy"])
    near_interval = _percent(velocity_row["intervals"]["within_one_step"])
    rows = [
        ("simple_saw 16,384: log10_decay_time accuracy", accuracy, "%", ">= 95.5", "53.7", accuracy_interval),
        (
            "simple_saw 16,384: log10_decay_time accuracy of the closed form",
            100 * float(hits.mean()),
            "%",
            "",
            "",
            closed,
        ),
        ("simple_saw 16,384: note_velocity +-1-step accuracy", near, "%", ">= 99", "", near_interval),
        ("simple_saw 16,384: whole run", saw_seconds, "s", "", "", ""),
    ]
    moog, moog_seconds, _ = _train("moog_basic_16k", folder)
    targets = {"log10_decay_time": 2.5, "filter_cutoff": 1.5, "filter_resonance": 2.5, "note_velocity": 15}
    for row in moog["rows"]:
        name = f"moog_basic 16,384: {row['name']} relative MAE"
        mae_interval = _percent(row["intervals"]["relative_mae"])
        rows.append((name, 100 * row["relative_mae"], "%", f"<= {targets[row['name']]:g}", "", mae_interval))
    rows.append(("moog_basic 16,384: whole run", moog_seconds, "s", "<= 180", "", ""))
    return rows


def _percent(interval: Interval) -> str:
    return "..".join(f"{100 * end:.3g}" for end in interval)
