"""Accuracy on the sets of images that this machine has, by size of network: python benchmarks/images.py --jobs 2

Each row is a command of src/train.py with one thread and three seeds; beside them stand what needs no training by
gradients: the most frequent class, and nearest neighbours of pixels. Every finished run is kept in
benchmarks/images.json; `--readme` writes the table into docs.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

import numpy as np
import torch
from baselines import nearest_neighbours
from commands import measure_missing
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from kept import keep, load, with_spread
from readme import update_block

from src.data.dataset import images_to_float
from src.utils.table import Column, markdown

STORE = ROOT / "benchmarks/images.json"
SEEDS = 3
_NEIGHBOURS = 5


class Row(NamedTuple):
    """A network on a set: the words of its command after src/train.py."""

    images: str
    words: tuple[str, ...]

    def key(self, seed: int) -> str:
        """Return the key of one of its runs in the file of results."""
        return f"{' '.join(self.words)} seed={seed}"


_LARGE = (  # 2.4 times as wide
    "experiment=fashion_mnist",
    "model.network.channels=[76,76,152,152]",
    "model.network.feature_dim=96",
    "trainer.max_epochs=30",
)
ROWS = (
    Row("digits", ("experiment=digits",)),
    Row("digits", ("experiment=digits_multihead",)),
    Row("fashion_mnist", ("experiment=fashion_mnist",)),
    Row("fashion_mnist", _LARGE),
)


def results_of(run: Path) -> dict[str, Any]:
    """Return the accuracy of a run's first head, the class."""
    category = json.loads((run / "test_results.json").read_text())["categories"][0]
    return {"head": category["name"], "accuracy": category["accuracy"]}


def measure(seeds: int, jobs: int) -> None:
    """Run what the file of results lacks, and keep it there."""
    runs = {row.key(seed): (row.words, seed) for seed in range(seeds) for row in ROWS}

    def shown(found: dict[str, Any]) -> str:
        return f"{100 * found['accuracy']:.2f} %"

    measure_missing(STORE, runs, results_of, shown, ROOT / "data", jobs)


def baselines(images: str) -> dict[str, float]:
    """Return the test accuracy of the most frequent class and of nearest neighbours of pixels."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        data = instantiate(compose("train", [f"data={images}", "paths.output_dir=."]).data)
    images_of, classes_of = {}, {}
    for split in ("train", "test"):
        dataset = data.dataset(split)
        images_of[split] = images_to_float(dataset.__getitems__(np.arange(len(dataset)))["image"])
        values = data.spec.space.denormalize(dataset.targets())
        classes_of[split] = torch.from_numpy(data.spec.space.to_class(values)[:, 0].astype(np.int64))
    one_hot = torch.nn.functional.one_hot(classes_of["train"]).float()
    nearest = nearest_neighbours(images_of["train"], one_hot, images_of["test"], _NEIGHBOURS).argmax(dim=1)
    frequent = one_hot.sum(dim=0).argmax()
    truth = classes_of["test"]
    return {"frequent": float((truth == frequent).float().mean()), "nearest": float((truth == nearest).float().mean())}


def table() -> str:
    """Return the accuracies as Markdown, means over the finished seeds."""
    done = load(STORE)
    lines: list[list[str]] = []
    for images in dict.fromkeys(row.images for row in ROWS):
        for row in (row for row in ROWS if row.images == images):
            runs = [done[row.key(seed)] for seed in range(SEEDS) if row.key(seed) in done]
            if not runs:
                continue
            found = 100 * np.array([run["accuracy"] for run in runs])
            spread = with_spread(found, ".2f", ".2f")
            cost = f"{np.mean([run['cpu_seconds'] for run in runs]):,.0f}"
            lines.append([images, " ".join(row.words), f"{runs[0]['parameters']:,}", spread, cost, str(len(runs))])
        known = done.get(f"baselines {images}", {})
        names = {"nearest": f"{_NEIGHBOURS} nearest neighbours of pixels", "frequent": "the most frequent class"}
        for key, name in names.items():
            if key in known:
                lines.append([images, name, "", f"{100 * known[key]:.2f}", "", ""])
    columns = [Column("set", text=True), Column("src/train.py, or baseline", text=True), Column("parameters")]
    return markdown([*columns, Column("test accuracy, %"), Column("CPU s"), Column("seeds")], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
    parser.add_argument("--readme", action="store_true", help="write the table into docs")
    given = parser.parse_args()
    measure(given.seeds, given.jobs)
    for images in dict.fromkeys(row.images for row in ROWS):
        if f"baselines {images}" not in load(STORE):
            keep(STORE, load(STORE) | {f"baselines {images}": baselines(images)})
    print(table())
    if given.readme:
        update_block("images", table())


if __name__ == "__main__":
    main()
