"""A model's figures on the test split: each has its 95 % interval and a baseline to compare it with."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from lightning import Trainer

from src.data.spec import DatasetSpec
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset, images_to_float
from src.evaluation.confusion import Confusion, count_answers
from src.evaluation.intervals import Interval, interval, proportion_interval, resampled_means
from src.evaluation.rerender import image_errors, rendering_source
from src.models.vimh_lit_module import VIMHLitModule
from src.synth.parameters import BYTE_LEVELS, ParameterSpace
from src.utils.errors import UserError

_BATCH = 512  # sounds that are predicted at once where no datamodule says how many


@dataclass(frozen=True)
class HeadRow:
    """The figures of a parameter: errors in its own unit, accuracies by the classes of its step grid.

    `intervals` holds the 95 % interval of each figure under the figure's name, None for a single sound.
    """

    name: str
    unit: str
    mae: float
    baseline: float  # MAE of the training split's mean
    relative_mae: float | None  # mae / baseline; None where the baseline is 0
    label_rounding: float | None  # MAE that rounding the labels to bytes causes; None if they are exact
    accuracy: float
    within_one_step: float  # +-1-step accuracy: the classes beside the right one count as right
    intervals: dict[str, Interval | None]


@dataclass(frozen=True)
class ImageError:
    """The figures, as in HeadRow and in dB, of the images of all test sounds, rendered again from predictions."""

    mae: float
    baseline: float  # of images rendered from the training split's mean
    relative_mae: float | None
    label_rounding: float | None
    intervals: dict[str, Interval | None]


@dataclass(frozen=True)
class CategoryRow:
    """The figures of a categorical parameter, whose values have no distance from each other."""

    name: str
    accuracy: float
    baseline_accuracy: float  # of the training split's most frequent category
    intervals: dict[str, Interval | None]
    confusion: Confusion


@dataclass(frozen=True)
class Evaluation:
    """All of a test's figures."""

    dataset: str
    num_samples: int
    nmae: float  # mean over trained heads of MAE / range; of a category, the share of wrong answers
    nmae_interval: Interval | None
    metrics: dict[str, float]  # test/..., as the trainer logged them
    rows: tuple[HeadRow, ...]
    categories: tuple[CategoryRow, ...]
    image_error: ImageError | None  # None where the synth of the sounds is not known

    def to_json(self) -> bytes:
        """Return the contents of a test_results.json."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def evaluate(model: VIMHLitModule, datamodule: VIMHDataModule, trainer: Trainer) -> Evaluation:
    """Test a model; the only place that reads the test split.

    The figures are those of float32 predictions of all test sounds, whatever the trainer's precision, number of
    processes and limit of batches.
    """
    spec, test, train = datamodule.spec, datamodule.dataset("test"), datamodule.dataset("train")
    model.to(trainer.strategy.root_device)
    values, levels = predict_split(model, test, datamodule.eval_batch_size)
    tested = trainer.test(model, datamodule=datamodule, verbose=False)  # nothing where no batch is to be tested
    truth, known = spec.space.denormalize(test.targets()), spec.space.denormalize(train.targets())
    quantised = test.values is None
    rows, categories, relative_errors = _head_figures(spec.space, values, levels, truth, known, quantised)
    trained = (model.heads.weights > 0).cpu().numpy()
    nmae = relative_errors[:, trained].mean(axis=1)
    return Evaluation(
        dataset=spec.name,
        num_samples=len(test),
        nmae=float(nmae.mean()),
        nmae_interval=interval(resampled_means(nmae[:, None])[:, 0], len(nmae)),
        metrics=tested[0] if tested else {},
        rows=tuple(rows),
        categories=tuple(categories),
        image_error=_image_error(datamodule, test, values, truth, _typical(spec.space, known)),
    )


def _head_figures(
    space: ParameterSpace, values: np.ndarray, levels: np.ndarray, truth: np.ndarray, known: np.ndarray, quantised: bool
) -> tuple[list[HeadRow], list[CategoryRow], np.ndarray]:
    """Return the figures of predicted values and classes (n, P), and errors as shares of the ranges (n, P).

    `truth` (n, P) and `known` (m, P) are the test and training splits' values, all in physical units.
    """
    classes, mean = space.to_class(truth), known.mean(axis=0)
    usual = space.to_class(_typical(space, known))
    rounding = label_rounding(space, truth) if quantised else [None] * len(space)
    rows, categories, relative_errors = [], [], []
    for at, one in enumerate(space):
        error, distance = np.abs(values[:, at] - truth[:, at]), np.abs(levels[:, at] - classes[:, at])
        accuracy, accuracy_interval = _share(distance == 0)
        if one.kind == "categorical":
            baseline, baseline_interval = _share(classes[:, at] == usual[at])
            intervals = {"accuracy": accuracy_interval, "baseline_accuracy": baseline_interval}
            answers = count_answers(one, classes[:, at], levels[:, at])
            categories.append(CategoryRow(one.name, accuracy, baseline, intervals, answers))
            relative_errors.append(distance > 0)
        else:
            near, near_interval = _share(distance <= 1)
            errors = _errors(error, np.abs(mean[at] - truth[:, at]), rounding[at])
            errors["intervals"] |= {"accuracy": accuracy_interval, "within_one_step": near_interval}
            rows.append(HeadRow(name=one.name, unit=one.unit, accuracy=accuracy, within_one_step=near, **errors))
            relative_errors.append(error / (one.max - one.min))
    return rows, categories, np.column_stack(relative_errors)


def _errors(error: np.ndarray, baseline: np.ndarray, rounding: float | None) -> dict[str, Any]:
    """Return the fields of ImageError from each sound's error and its error with the baseline, (n,) each."""
    mae, baseline_mae = float(error.mean()), float(baseline.mean())
    resampled = resampled_means(np.column_stack([error, baseline]))
    figures = {"mae": mae, "baseline": baseline_mae, "relative_mae": None}
    draws = {"mae": resampled[:, 0], "baseline": resampled[:, 1]}
    if baseline_mae > 0 and resampled[:, 1].all():
        figures["relative_mae"], draws["relative_mae"] = mae / baseline_mae, resampled[:, 0] / resampled[:, 1]
    intervals = {name: interval(values, len(error)) for name, values in draws.items()}
    return figures | {"label_rounding": None if rounding is None else float(rounding), "intervals": intervals}


def _share(hits: np.ndarray) -> tuple[float, Interval]:
    return float(hits.mean()), proportion_interval(int(hits.sum()), len(hits))


def _typical(space: ParameterSpace, known: np.ndarray) -> np.ndarray:
    """Return the values (P,) that stand for a split (n, P): means, as far as a parameter's kind has any."""
    typical = known.mean(axis=0)
    on_grid, classes = space.from_class(space.to_class(typical)), space.to_class(known)
    for at, one in enumerate(space):
        if one.kind == "ordinal":
            typical[at] = on_grid[at]
        elif one.kind == "categorical":
            typical[at] = one.min + one.step * np.bincount(classes[:, at]).argmax()
    return typical


def label_rounding(space: ParameterSpace, labels: np.ndarray) -> np.ndarray:
    """Return the mean error (P,) of labels (n, P) that were rounded to bytes, as far as they tell.

    A continuous parameter's true value may be anywhere in its byte's cell, any other's is on its step grid.
    """
    codes = space.to_byte(labels).astype(np.float64)
    places = [space.denormalize((codes + offset) / BYTE_LEVELS) for offset in (-0.375, -0.125, 0.125, 0.375)]
    within = np.mean([np.abs(place - labels) for place in places], axis=0)
    to_grid = np.abs(space.from_class(space.to_class(labels)) - labels)
    continuous = [one.kind == "continuous" for one in space]
    return np.where(continuous, within, to_grid).mean(axis=0)


def _image_error(
    datamodule: VIMHDataModule, test: VIMHDataset, values: np.ndarray, truth: np.ndarray, typical: np.ndarray
) -> ImageError | None:
    source = rendering_source(datamodule.spec, datamodule.trust)
    if source is None:
        return None
    candidates = {"predicted": values, "typical": typical} | ({"labels": truth} if test.values is None else {})
    found = image_errors(source, test, candidates)
    rounding = found["labels"].mean() if "labels" in found else None
    return ImageError(**_errors(found["predicted"], found["typical"], rounding))


def require_same_task(trained: DatasetSpec, given: DatasetSpec) -> None:
    """Raise UserError unless a dataset has the images and parameters that a model was trained on."""
    if given.image_shape != trained.image_shape:
        raise UserError(
            f"{given.name}: images (C, H, W) {given.image_shape}, the model was trained on {trained.image_shape}; "
            "give a dataset made with the same spectral settings"
        )
    for ours, theirs in zip(trained.space, given.space, strict=False):
        if (ours.name, ours.min, ours.max, ours.scale) != (theirs.name, theirs.min, theirs.max, theirs.scale):
            raise UserError(
                f"{given.name}: {theirs.name} {theirs.min:g}..{theirs.max:g} {theirs.scale}, the model was trained on "
                f"{ours.name} {ours.min:g}..{ours.max:g} {ours.scale}; give a dataset of the same parameters"
            )
    if given.space.names != trained.space.names:
        raise UserError(f"{given.name}: parameters {given.space.names}, the model knows {trained.space.names}")


def predict_split(
    model: VIMHLitModule, dataset: VIMHDataset, batch_size: int = _BATCH, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return values (n, P) float64 in physical units and classes (n, P) int64.

    Of a dataset's first `count` samples, or of all.
    """
    count = len(dataset) if count is None else min(count, len(dataset))
    values, levels = np.empty((count, len(model.spec.space))), np.empty((count, len(model.spec.space)), np.int64)
    weights = next(model.parameters())
    model.eval()
    for rows in _batches(dataset, batch_size, count):
        batch = dataset.__getitems__(rows)
        images, scale = images_to_float(batch["image"]), batch["scale"]
        with torch.inference_mode():
            outputs = model(images.to(weights.device, weights.dtype), scale.to(weights.device, weights.dtype))
            values[rows] = model.heads.values(outputs).cpu().numpy()
            levels[rows] = model.heads.levels(outputs).cpu().numpy()
    return values, levels


def predict_values(model: VIMHLitModule, dataset: VIMHDataset, count: int) -> np.ndarray:
    """Return predictions (n, P) in physical units for a dataset's first `count` samples."""
    return predict_split(model, dataset, count=count)[0]


def _batches(dataset: VIMHDataset, batch_size: int, count: int) -> Iterator[list[int] | range]:
    """Yield the first `count` rows, in batches whose images have one shape."""
    if dataset.records.offsets is None:
        yield from (range(start, min(start + batch_size, count)) for start in range(0, count, batch_size))
        return
    for rows in dataset.batches_by_shape(batch_size):
        rows = [row for row in rows if row < count]
        if rows:
            yield rows
