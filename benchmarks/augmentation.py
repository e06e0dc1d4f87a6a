"""Which transforms of training samples help on which dataset: python benchmarks/augmentation.py --jobs 2

Each row is `src/train.py` with one transform, or a preset of configs/augment, one thread, and three seeds. Runs of a
dataset differ in nothing else, and the seeds are those of its row without augmentation, so differences are of pairs.
Every finished run is kept in benchmarks/augmentation.json, so that an interrupted benchmark can continue; `--readme`
writes the tables into docs.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import rootutils
from scipy import stats

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from commands import measure_missing
from kept import load, with_spread
from readme import update_block

from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/augmentation.json"
SEEDS = 3
_MOOG = ("experiment=moog_basic_fast", "dataset.size=4096", "trainer.max_epochs=20")
DATASETS = {
    "digits": ("experiment=digits",),
    "fashion_mnist": (  # half of the training images, a third of the experiment's epochs
        *("experiment=fashion_mnist", "data.shift=0", "data.flip=false"),
        *("data.val_fraction=0.49", "trainer.max_epochs=6"),
    ),
    "moog_basic": _MOOG,
    "moog_basic, levels": (*_MOOG, "heads=classification"),
}
NONE = "none"
_MIXES = {
    "mixup": "+data.augment.mixup={}",
    "cutmix": "+data.augment.cutmix={}",
    "token_mix": "+data.augment.token_mix={patch: 2}",
}
_PICTURES = {
    "shift": "+data.augment.shift={pixels: 1}",
    "flip": "+data.augment.flip={}",
    "rotate": "+data.augment.rotate={}",
    "elastic": "+data.augment.elastic={pixels: 0.5}",
    "grid_distortion": "+data.augment.grid_distortion={strength: 0.2}",
    "colour_jitter": "+data.augment.colour_jitter={}",
    "gaussian_noise": "+data.augment.gaussian_noise={}",
    "erase": "+data.augment.erase={height: 3, width: 3}",
    "augment=rand_augment": "augment=rand_augment",
    "augment=images": "augment=images",
    "augment=mixes": "augment=mixes",
}
_SOUNDS = {
    "spec_augment": "+data.augment.spec_augment={}",
    "noise": "+data.augment.noise={}",
    "time_shift": "+data.augment.time_shift={frames: 1}",
    "gain": "+data.augment.gain={}",
    "augment=sound": "augment=sound",
}
TRANSFORMS = {
    "digits": _PICTURES | _MIXES,
    "fashion_mnist": _PICTURES | _MIXES,
    "moog_basic": _SOUNDS,
    "moog_basic, levels": _SOUNDS | _MIXES,
}


def overrides(dataset: str, transform: str) -> tuple[str, ...]:
    """Return the words of a row's command after src/train.py."""
    return DATASETS[dataset] if transform == NONE else (*DATASETS[dataset], TRANSFORMS[dataset][transform])


def key(dataset: str, transform: str, seed: int) -> str:
    """Return the key of a run in the file of results."""
    return f"{' '.join(overrides(dataset, transform))} seed={seed}"


def results_of(run: Path) -> dict[str, float]:
    """Return the mean error of a run's heads."""
    return {"error": json.loads((run / "test_results.json").read_text())["nmae"]}


def measure(rows: list[tuple[str, str]], seeds: int, jobs: int, seconds: float, data_dir: Path) -> None:
    """Run what the file of results lacks, and keep it there."""
    runs = {key(*row, seed): (overrides(*row), seed) for seed in range(seeds) for row in rows}

    def shown(found: dict[str, float]) -> str:
        return f"{100 * found['error']:.3g} %"

    measure_missing(STORE, runs, results_of, shown, data_dir, jobs, seconds)


def table(dataset: str) -> str:
    """Return the rows of a dataset as Markdown: test errors, their difference from none, and what it says."""
    done = load(STORE)
    rows = []
    for transform in (NONE, *TRANSFORMS[dataset]):
        seeds = [seed for seed in range(SEEDS) if key(dataset, transform, seed) in done]
        if not seeds:
            continue
        runs = [done[key(dataset, transform, seed)] for seed in seeds]
        errors = 100 * np.array([run["error"] for run in runs])
        pairs = [seed for seed in seeds if key(dataset, NONE, seed) in done] if transform != NONE else []
        plain = 100 * np.array([done[key(dataset, NONE, seed)]["error"] for seed in pairs])
        difference, verdict = compared(errors[[seeds.index(seed) for seed in pairs]] - plain)
        seconds = np.mean([run["cpu_seconds"] for run in runs])
        rows.append([transform, with_spread(errors), difference, verdict, f"{seconds:.0f}", str(len(seeds))])
    columns = [Column(dataset, text=True), Column("error, %"), Column("difference, 95 %"), Column("it", text=True)]
    return markdown([*columns, Column("CPU s"), Column("seeds")], rows)


def compared(differences: np.ndarray) -> tuple[str, str]:
    """Return the 95 % interval of the mean of differences by Student's t, and what it says."""
    if len(differences) < 2:
        return "", ""
    mean, half = differences.mean(), stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    verdict = "unclear" if abs(mean) <= half else "helps" if mean < 0 else "hurts"
    return f"{mean - half:+.2g} to {mean + half:+.2g}", verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--transforms", nargs="+", metavar="NAME", help="some rows of the tables; all by default")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no run starts")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where datasets are, or are made")
    parser.add_argument("--readme", action="store_true", help="write the tables into docs")
    given = parser.parse_args()
    rows = [(dataset, name) for dataset in given.datasets for name in (NONE, *TRANSFORMS[dataset])]
    chosen = [row for row in rows if not given.transforms or row[1] in (NONE, *given.transforms)]
    measure(chosen, given.seeds, given.jobs, given.seconds, given.data.resolve())
    kept = load(STORE)
    measured = [name for name in DATASETS if any(key(name, NONE, seed) in kept for seed in range(SEEDS))]
    tables = "\n\n".join(table(name) for name in measured)
    print(tables)
    if given.readme:
        update_block("augmentation", tables)


if __name__ == "__main__":
    main()
