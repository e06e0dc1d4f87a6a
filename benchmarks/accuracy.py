"""What the micro network reaches on 16,384 clips, beside a closed form."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from src.data.spec import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.predict import make_front_end

ROOT = Path(__file__).resolve().parents[1]


def _train(experiment: str, folder: Path) -> tuple[dict, float, Path]:
    """Run an experiment as a user would; return its figures, wall seconds and dataset."""
    logs, data = folder / f"logs_{experiment}", folder / "data"
    command = [sys.executable, "src/train.py", f"experiment={experiment}", "trainer=cpu"]
    began = time.perf_counter()
    subprocess.run(
        [*command, f"paths.log_dir={logs}", f"paths.data_dir={data}"], cwd=ROOT, check=True, capture_output=True
    )
    seconds = time.perf_counter() - began
    results = json.loads(next(logs.glob("train/runs/*/test_results.json")).read_text())
    return results, seconds, data / results["dataset"]


def decay_from_slope(images: np.ndarray, frame_seconds: float, floor_db: float, ceil_db: float) -> np.ndarray:
    """Return log10 of the decay time (n,) from the slope of each image's level over time, dB a frame.

    A least-squares line through the frames that stand clear of the floor; no training.
    """
    decibels = floor_db + images[:, 0].astype(np.float64) / 255.0 * (ceil_db - floor_db)
    rows = decibels[:, :4].mean(axis=1)  # the lowest partials are the strongest, so the last to reach the floor
    clear = decibels[:, :4].min(axis=1) > floor_db
    clear[:, :2] = True
    clear = np.logical_and.accumulate(clear, axis=1)
    frame = np.arange(rows.shape[1])
    count = clear.sum(axis=1)
    mean_frame, mean_level = (clear * frame).sum(axis=1) / count, (clear * rows).sum(axis=1) / count
    off = np.where(clear, frame - mean_frame[:, None], 0.0)
    slope = (off * (rows - mean_level[:, None])).sum(axis=1) / (off**2).sum(axis=1)
    decay = -20.0 * np.log10(np.e) * frame_seconds / np.minimum(slope, -1e-6)
    return np.log10(decay)


def measure_accuracy(folder: Path) -> list[tuple[str, float, str, str, str]]:
    """Return the accuracy rows of the benchmark table."""
    saw, saw_seconds, directory = _train("simple_saw_16k", folder)
    spec, test = read_spec(directory), VIMHDataset(directory, "test")
    images = test.__getitems__(range(len(test)))["image"].numpy()
    front_end = make_front_end(spec)
    decay = decay_from_slope(
        images, front_end.hop_length / spec.sample_rate, front_end.config.floor_db, front_end.config.ceil_db
    )
    truth = spec.space.denormalize(test.targets())
    column = spec.space.index("log10_decay_time")
    guess = truth.copy()
    guess[:, column] = decay
    closed = float((spec.space.to_class(guess) == spec.space.to_class(truth))[:, column].mean())
    by_name = {row["name"]: row for row in saw["rows"]}
    rows = [
        (
            "simple_saw 16,384: log10_decay_time accuracy",
            100 * by_name["log10_decay_time"]["accuracy"],
            "%",
            ">= 95.5",
            "53.7",
        ),
        ("  closed form, slope of the level", 100 * closed, "%", "", ""),
        ("  note_velocity within a step", 100 * by_name["note_velocity"]["within_one_step"], "%", ">= 99", ""),
        ("  whole run", saw_seconds, "s", "", ""),
    ]
    moog, moog_seconds, _ = _train("moog_basic_16k", folder)
    aims = {"log10_decay_time": 2.5, "filter_cutoff": 1.5, "filter_resonance": 2.5, "note_velocity": 15}
    rows += [
        (
            f"moog_basic 16,384: {row['name']} MAE / mean's",
            100 * row["mae"] / row["baseline"],
            "%",
            f"<= {aims[row['name']]:g}",
            "",
        )
        for row in moog["rows"]
    ]
    rows.append(("  whole run", moog_seconds, "s", "<= 180", ""))
    return rows
