"""How well a model that segments finds the class of each pixel, beside two baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from src.data.datamodule import BatchDataModule
from src.data.dataset import BatchDataset, load_batch
from src.data.spec import DatasetSpec
from src.evaluation.intervals import Interval, interval, resampled_means
from src.models.vimh_lit_module import VIMHLitModule

_BATCH = 256
_DRAWN = 4  # sounds in the figure


@dataclass(frozen=True)
class MapFigure:
    """One result as a fraction: of the model, of always the most frequent class, and of a rule; None if undefined."""

    name: str
    value: float | None
    interval: Interval | None  # 95 %, over sounds
    most_frequent: float | None
    rule: float | None


@dataclass(frozen=True)
class DrawnMaps:
    """The first images (n, H, W), in [0, 1], and their true and predicted maps (n, H, W) uint8."""

    spec: DatasetSpec
    images: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class MapResults:
    """The results of a test's maps.

    `rule` says what the dataset's own rule is, which knows more than a model; it is empty if the dataset has none.
    """

    classes: tuple[str, ...]
    shares: tuple[float, ...]  # of all test pixels, by class
    most_frequent: str  # class of the training split
    rule: str
    figures: tuple[MapFigure, ...]
    drawn: DrawnMaps | None = field(default=None, repr=False)  # not in test_results.json


def read_map_results(plain: Mapping[str, Any]) -> MapResults:
    """Return the results that test_results.json holds."""
    figures = tuple(MapFigure(**figure) for figure in plain["figures"])
    return MapResults(**{**plain, "figures": figures})


def map_results(model: VIMHLitModule, datamodule: BatchDataModule) -> MapResults:
    """Compare a model's maps with those of the test split."""
    classes, test = model.spec.map_classes, datamodule.dataset("test")
    size = len(classes)
    counts, drawn = _counted(model, test, size)
    usual = int(_frequencies(datamodule.dataset("train"), size).argmax())
    always = np.zeros((size, size))
    always[:, usual] = counts.sum(axis=(0, 2))
    found = test.maps_by_rule()
    by_rule = None if found is None else confusion_counts(_true_maps(test), found[0], size).sum(axis=0)
    columns = [None if table is None else _figures(table[None])[0] for table in (counts.sum(axis=0), always, by_rule)]
    draws = _figures(resampled_means(counts.reshape(len(counts), -1)).reshape(-1, size, size))
    figures = []
    for at, name in enumerate(_names(classes)):
        value, most_frequent, rule = (None if column is None else _finite(column[at]) for column in columns)
        known = None if value is None else interval(draws[:, at], len(counts))
        figures.append(MapFigure(name, value, known, most_frequent, rule))
    shares = counts.sum(axis=(0, 2)) / counts.sum()
    rule_text = "" if found is None else found[1]
    return MapResults(classes, tuple(shares.tolist()), classes[usual], rule_text, tuple(figures), drawn)


def confusion_counts(true: np.ndarray, predicted: np.ndarray, size: int) -> np.ndarray:
    """Return how many pixels of each true class (rows) have each predicted class, (n, K, K), of maps (n, H, W)."""
    pairs = true.astype(np.int64) * size + predicted
    numbered = pairs + size**2 * np.arange(len(pairs))[:, None, None]
    return np.bincount(numbered.ravel(), minlength=len(pairs) * size**2).reshape(len(pairs), size, size)


def _names(classes: Sequence[str]) -> list[str]:
    """Return the names of the columns of `_figures`."""
    each = [f"{kind}, {name}" for kind in ("IoU", "Dice") for name in classes]
    return ["pixel accuracy", "mean IoU", "mean Dice", *each]


def _figures(tables: np.ndarray) -> np.ndarray:
    """Return all results (n, F) of confusion tables (n, K, K); means leave out classes that do not occur."""
    accuracy = tables.trace(axis1=1, axis2=2) / tables.sum(axis=(1, 2))
    iou, dice = overlap(tables, iou=True), overlap(tables)
    return np.column_stack([accuracy, np.nanmean(iou, axis=1), np.nanmean(dice, axis=1), iou, dice])


def overlap(tables: np.ndarray, iou: bool = False) -> np.ndarray:
    """Return Dice, or IoU, of each class (n, K) from confusion tables (n, K, K); NaN for a class that does not occur.

    Sums are over all pixels of all images, so a class that is rare in one image does not count more there.
    """
    hits = np.einsum("nkk->nk", tables).astype(np.float64)
    both = tables.sum(axis=1) + tables.sum(axis=2)
    occurs = both > 0
    either = np.where(occurs, both - hits if iou else both / 2.0, 1.0)
    return np.where(occurs, hits / either, np.nan)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _counted(model: VIMHLitModule, test: BatchDataset, size: int) -> tuple[np.ndarray, DrawnMaps]:
    counts = np.zeros((len(test), size, size), np.int64)
    weights, drawn = next(model.parameters()), None
    model.eval()
    for rows in test.batches_by_shape(_BATCH):
        batch = load_batch(test, rows, weights)
        with torch.inference_mode():
            predicted = model.values(batch["image"], batch.get("scale")).cpu().numpy().astype(np.uint8)
        true = batch["map"].cpu().numpy().astype(np.uint8)
        counts[rows] = confusion_counts(true, predicted, size)
        if drawn is None:
            images = batch["image"][:_DRAWN, 0].float().cpu().numpy()
            drawn = DrawnMaps(test.spec, images, true[:_DRAWN], predicted[:_DRAWN])
    assert drawn is not None  # a split is never empty
    return counts, drawn


def _frequencies(dataset: BatchDataset, size: int) -> np.ndarray:
    found = np.zeros(size, np.int64)
    for rows in dataset.batches_by_shape(_BATCH):
        found += np.bincount(dataset.__getitems__(rows)["map"].numpy().ravel(), minlength=size)
    return found


def _true_maps(dataset: BatchDataset) -> np.ndarray:
    return dataset.__getitems__(np.arange(len(dataset)))["map"].numpy()
