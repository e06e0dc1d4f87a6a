"""What the checks of a dataset find, as a table and as JSON: the same checks as on its page."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.data.build.splits import levels
from src.data.fetch import fetch
from src.data.info import read_spec
from src.data.paths import CACHE_DIR, Location, to_location
from src.data.recipe import SPLITS
from src.data.spec import DatasetSpec
from src.data.vimh.reader import has_split
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.reports.check import Check
from src.evaluation.reports.dataset.checks import check_labels_and_images
from src.evaluation.reports.dataset.page import write_dataset_page
from src.evaluation.reports.dataset.samples import Splits
from src.parameters.space import ParameterSpace
from src.utils.files import shown_path, write_atomic
from src.utils.table import Column, show, show_lines

QUALITY_FILE = "quality.json"
_STATES = {"pass": "ok", "warn": "look", "fail": "FAULT", "unknown": "unknown"}


@dataclass(frozen=True)
class Quality:
    """The checks of a dataset, and how many samples of each split each level of each parameter has.

    `samples` are (levels, splits) int64 by parameter, in the order of `counts`.
    """

    spec: DatasetSpec
    counts: dict[str, int]
    checks: list[Check]
    samples: dict[str, np.ndarray]

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers, for JSON."""
        return {
            "dataset": self.spec.name,
            "samples": self.counts,
            "checks": [asdict(check) for check in self.checks],
            "levels": {
                name: {split: found[:, at].tolist() for at, split in enumerate(self.counts)}
                for name, found in self.samples.items()
            },
        }

    def to_json(self) -> bytes:
        return (json.dumps(self.to_dict(), indent=2) + "\n").encode()


def open_splits(directory: Path) -> dict[str, VIMHDataset]:
    """Open all splits of a dataset."""
    spec = read_spec(directory)
    known = [split for split in SPLITS if has_split(directory, split)] or ["train"]
    return {split: VIMHDataset(directory, split, spec=spec) for split in known}


def measure_quality(splits: Splits) -> Quality:
    """Check the splits of a dataset; labels are all looked at, images are sampled evenly."""
    spec = next(iter(splits.values())).spec
    units = {split: dataset.targets() for split, dataset in splits.items()}
    found = [_level_counts(spec.space, unit) for unit in units.values()]
    samples = {
        parameter.name: np.stack([counts[at] for counts in found], axis=1) for at, parameter in enumerate(spec.space)
    }
    counts = {split: len(dataset) for split, dataset in splits.items()}
    return Quality(spec, counts, check_labels_and_images(splits, units), samples)


def _level_counts(space: ParameterSpace, unit: np.ndarray) -> list[np.ndarray]:
    found, sizes = levels(space, space.denormalize(unit))
    return [np.bincount(found[:, at], minlength=size) for at, size in enumerate(sizes)]


def print_quality(quality: Quality, title: str, caption: str = "", all_in: str = "") -> None:
    """Print the checks, and for each parameter how many samples its levels have."""
    rows = [[check.name, _STATES[check.state], check.why] for check in quality.checks]
    show([Column("check", text=True), Column("state", text=True), Column("finding", text=True)], rows, title)
    columns = [Column("parameter", text=True), Column("range", text=True, drop=1), Column("levels"), Column("empty")]
    columns += [Column("fewest samples"), Column("most samples")]
    columns += [Column(f"{split} off by", drop=2) for split in quality.counts if split != "train"]
    rows = []
    for parameter in quality.spec.space:
        found = quality.samples[parameter.name]
        total = found.sum(axis=1)
        row = [parameter.name, parameter.describe_range(with_step=False), str(len(total)), str((total == 0).sum())]
        row += [f"{total.min():,}", f"{total.max():,}"]
        shares = found / np.maximum(1, found.sum(axis=0))
        for at, split in enumerate(quality.counts):
            if split != "train":
                row.append(f"{100 * np.abs(shares[:, at] - total / total.sum()).max():.1f} %")
        rows.append(row)
    note = "levels: classes, or up to 16 equal parts of a range\n"
    note += "off by: the largest difference between a level's share of a split and its share of all samples"
    show(columns, rows, "", f"{note}\n{caption}".strip(), all_in=all_in)


def check_dataset(given: str, log_dir: Path, trust: Iterable[str] = (), cache_dir: str = CACHE_DIR) -> None:
    """Write the quality of a dataset as JSON and as a page to `log_dir`, and print it; the dataset is only read."""
    splits = open_splits(fetch(to_location(given, cache_dir)))
    quality = measure_quality(splits)
    name = quality.spec.name
    path = log_dir / f"{name}_{QUALITY_FILE}"
    log_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(path, quality.to_json())
    page = write_dataset_page(splits, log_dir / f"{name}.html", trust)
    print_quality(quality, given, _counted(quality.counts), shown_path(path))
    show_lines(f"written: {shown_path(path)}", f"page: {shown_path(page)}")


def report_built(place: Location, changes: Mapping[str, int], seconds: float) -> None:
    """Write the quality of a dataset that was just built into it, and print it with what the operations have done."""
    splits = open_splits(fetch(place))
    quality = measure_quality(splits)
    if isinstance(place, Path):
        write_atomic(place / QUALITY_FILE, quality.to_json())
    done = [f"{name} {change:+,}" if change else f"{name} 0" for name, change in changes.items()]
    caption = "; ".join([f"{_counted(quality.counts)} in {seconds:.1f} s", *done])
    print_quality(quality, shown_path(place), caption, QUALITY_FILE)


def _counted(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values()):,} samples ({', '.join(f'{count:,} {split}' for split, count in counts.items())})"
