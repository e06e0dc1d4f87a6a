"""Accuracy by number of parameters on the shipped synths: python benchmarks/leaderboard.py --jobs 2

Each row is `src/train.py experiment=yardstick` with another network and synth, one thread, and three seeds; its command
is printed with it. Errors are MAE / range in percent on the test split. After training, the answers for the first test
sounds are refined. Beside the networks stand what needs no training: the mean, nearest neighbours, and the least error
that the images allow. Every finished run is kept in benchmarks/leaderboard.json, so that an interrupted benchmark can
continue; `--readme` writes the tables into docs.
"""

import argparse
import json
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from baselines import choose_k, nearest_neighbours, predict_mean
from commands import measure_missing
from kept import keep, load, with_spread
from readme import update_block
from refinement import images_of, predicted

from src.data.dataset import images_to_float
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.refinement.answers import make_refiner
from src.evaluation.refinement.options import Options
from src.models.build import load_checkpoint
from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/leaderboard.json"
SYNTHS = ("simple_saw", "moog_basic", "moog_resonance", "moog_envelope")
EPOCHS = {16384: 80, 131072: 40}  # of so many clips
SEEDS = 3
_REFINED = 3  # iterations
_SOUNDS = 512  # that are refined
_QUERIES = 2048  # test sounds whose nearest neighbours are searched


class Recipe(NamedTuple):
    """How the training of a row differs from experiment=yardstick."""

    overrides: tuple[str, ...] = ()
    longer: int = 1  # times the epochs of the others


def _frames(widths: str, feature_dim: int, *more: str) -> Recipe:
    """Return the recipe of a FrameMLP of another size."""
    return Recipe((f"model.network.widths={widths}", f"model.network.feature_dim={feature_dim}", *more))


NETWORKS = {  # at most 2,000, 10,000, 40,000, 100,000 and 1,000,000 parameters on every synth's images
    "frames_micro": _frames("[10,10]", 8, "model.network.spans=[2,4]"),
    "frames_7k": Recipe(),
    "frames_7k, twice the epochs": Recipe(longer=2),
    "frames_29k": _frames("[80,64]", 32),
    "frames_74k": _frames("[128,128]", 48),
    # half the rate: at 0.012 a network of [448,448] did not learn
    "frames_263k": _frames("[256,256]", 96, "data.batch_size=256", "model.optimizer.lr=0.006"),
}


class Entry(NamedTuple):
    """A row of the leaderboard."""

    synth: str
    clips: int
    network: str

    @property
    def overrides(self) -> tuple[str, ...]:
        """The words of its command after src/train.py."""
        overrides, longer = NETWORKS[self.network]
        words = ("experiment=yardstick", f"synth={self.synth}", *overrides)
        return (*words, f"dataset.size={self.clips}", f"trainer.max_epochs={longer * EPOCHS[self.clips]}")

    def key(self, seed: int) -> str:
        """Return the key of one of its runs in the file of results."""
        return f"{' '.join(self.overrides)} seed={seed}"


def refined_errors(run: Path, data_dir: Path) -> list[float]:
    """Return the mean errors (P,), as fractions of the range, of the first test sounds after refinement."""
    model = load_checkpoint(run / "checkpoints/best.ckpt")
    dataset = VIMHDataset(data_dir / model.spec.name, "test")
    truth = dataset.targets()[:_SOUNDS].astype(np.float64)
    refiner = make_refiner(model, model.spec, Options(iterations=_REFINED))
    images, scale = images_of(refiner.source, "bytes", dataset, model.spec.space.denormalize(truth))
    network = predicted(model, refiner.source, "bytes", images, scale)
    _, refined = refiner.refine(network, images, scale, recorded=False)
    return np.abs(refined.unit - truth).mean(axis=0).tolist()


def results_of(run: Path, data_dir: Path) -> dict[str, Any]:
    """Return the errors of all heads of a run, before and after refinement, and their limits."""
    rows = json.loads((run / "test_results.json").read_text())["rows"]
    space = load_checkpoint(run / "checkpoints/best.ckpt").spec.space
    ranges = (space.max - space.min).tolist()
    return {
        "names": list(space.names),
        "errors": [row["mae"] / width for row, width in zip(rows, ranges, strict=True)],
        "limits": [row["image_limit"] / width for row, width in zip(rows, ranges, strict=True)],
        "refined": refined_errors(run, data_dir),
    }


def baselines(directory: Path) -> dict[str, list[float]]:
    """Return the errors of the mean, and of nearest neighbours for the first test sounds, as fractions of the range."""
    splits = {}
    for split in ("train", "val", "test"):
        dataset = VIMHDataset(directory, split)
        batch = dataset.__getitems__(range(len(dataset) if split == "train" else min(_QUERIES, len(dataset))))
        splits[split] = (images_to_float(batch["image"]), batch["target"])
    images, truth = splits["test"]
    k, _ = choose_k(*splits["train"], *splits["val"])
    answers = {"mean": predict_mean(splits["train"][1], len(truth))}
    answers["neighbours"] = nearest_neighbours(*splits["train"], images, k)
    return {name: (found - truth).abs().mean(dim=0).tolist() for name, found in answers.items()}


def measure(entries: list[Entry], seeds: int, jobs: int, seconds: float, data_dir: Path) -> None:
    """Run what the file of results lacks, and keep it there."""
    runs = {entry.key(seed): (entry.overrides, seed) for seed in range(seeds) for entry in entries}

    def shown(found: dict[str, Any]) -> str:
        return " ".join(f"{100 * error:.3g}" for error in found["errors"]) + " % of range"

    measure_missing(STORE, runs, partial(results_of, data_dir=data_dir), shown, data_dir, jobs, seconds)


def measure_baselines(entries: list[Entry], data_dir: Path) -> None:
    """Measure the baselines of the datasets that are there, and keep them in the file of results."""
    done = load(STORE)
    for synth, clips in dict.fromkeys((entry.synth, entry.clips) for entry in entries):
        found = sorted(data_dir.glob(f"*_{clips}dss_{synth}_*"))
        if found and baselines_key(synth, clips) not in done:
            done[baselines_key(synth, clips)] = baselines(found[0])
            keep(STORE, done)


def baselines_key(synth: str, clips: int) -> str:
    """Return the key of a dataset's baselines in the file of results."""
    return f"baselines {synth} {clips}"


def percent(errors: list[float]) -> str:
    """Return fractions as percentages with two digits."""
    return ", ".join(f"{100 * error:.2g}" for error in errors)


def table(synth: str, clips: int) -> str:
    """Return the leaderboard of a dataset as Markdown: means over the finished seeds."""
    done = load(STORE)
    rows, limits, names = [], None, []
    for network in NETWORKS:
        entry = Entry(synth, clips, network)
        runs = [done[entry.key(seed)] for seed in range(SEEDS) if entry.key(seed) in done]
        if not runs:
            continue
        limits, names = np.array(runs[0]["limits"]), runs[0]["names"]
        errors = np.array([run["errors"] for run in runs])
        refined = np.array([run["refined"] for run in runs]).mean(axis=0)
        nmae = 100 * errors.mean(axis=1)
        times = ", ".join(f"{value:,.1f}" if value < 10 else f"{value:,.0f}" for value in errors.mean(axis=0) / limits)
        cost = f"{np.mean([run['cpu_seconds'] for run in runs]):.0f}"
        heads = percent(errors.mean(axis=0).tolist())
        after = percent(refined.tolist())
        rows.append(
            [network, f"{runs[0]['parameters']:,}", with_spread(nmae), heads, times, after, cost, str(len(runs))]
        )
    known = done.get(baselines_key(synth, clips), {})
    for name, label in (("mean", "mean of the training labels"), ("neighbours", "nearest neighbours")):
        if name in known:
            rows.append([label, "", f"{100 * np.mean(known[name]):.3g}", percent(known[name]), "", "", "", ""])
    if limits is not None:
        rows.append(["image limit", "", f"{100 * limits.mean():.2g}", percent(limits.tolist()), "", "", "", ""])
    columns = [Column(f"{synth}, {clips:,} clips", text=True), Column("parameters"), Column("error, % of range")]
    columns += [Column("by head", text=True), Column("multiples of the image limit", text=True)]
    columns += [Column(f"by head after refine={_REFINED}", text=True), Column("CPU s"), Column("seeds")]
    return f"Heads: {', '.join(names)}.\n\n{markdown(columns, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synths", nargs="+", choices=SYNTHS, default=SYNTHS)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--clips", nargs="+", type=int, choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no run starts")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where datasets are, or are made")
    parser.add_argument("--readme", action="store_true", help="write the tables into docs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    entries = [Entry(*row) for row in product(given.synths, given.clips, given.networks)]
    measure(entries, given.seeds, given.jobs, given.seconds, given.data.resolve())
    measure_baselines(entries, given.data.resolve())
    kept = load(STORE)
    tables = []
    for synth, clips in product(SYNTHS, EPOCHS):
        if any(Entry(synth, clips, network).key(seed) in kept for network in NETWORKS for seed in range(SEEDS)):
            tables.append(table(synth, clips))
    print("\n\n".join(tables))
    if given.readme:
        update_block("leaderboard", "\n\n".join(tables))


if __name__ == "__main__":
    main()
