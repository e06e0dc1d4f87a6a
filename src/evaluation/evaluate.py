"""A model's results on the test split, each with its 95 % interval and a baseline for comparison."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from src.data.datamodule import BatchDataModule
from src.data.dataset import BatchDataset
from src.data.recipe import first_difference
from src.data.spec import DatasetSpec, hop_samples
from src.evaluation.baselines import baseline_values, typical_values
from src.evaluation.class_metrics import ClassMetrics, class_metrics
from src.evaluation.confusion import Confusion, count_pairs
from src.evaluation.ensemble_intervals import IntervalWidths, compare_widths
from src.evaluation.intervals import Interval, interval, proportion_interval, resampled_means
from src.evaluation.maps import MapResults, map_results
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reconstruct import reconstruction_errors
from src.evaluation.reliability import Reliability, reliability
from src.evaluation.rerender import image_errors, rendering_source
from src.evaluation.split_outputs import run_split
from src.models.build import load_checkpoint
from src.models.ensemble import Ensemble
from src.models.tasks.parameters import parameters_of, predicts_parameters
from src.models.tasks.segment import predicts_maps
from src.models.vimh_lit_module import VIMHLitModule
from src.parameters.space import BYTE_LEVELS, ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError, one_line


@dataclass(frozen=True)
class HeadRow:
    """The results of a parameter: errors in its unit, and accuracies of the classes of its step grid.

    `intervals` maps each result's name to its 95 % interval, None for a single sound.
    """

    name: str
    unit: str
    mae: float
    baseline: float  # MAE of the training split's mean
    relative_mae: float | None  # mae / baseline; None if the baseline is 0
    label_rounding: float | None  # MAE that rounding the labels to bytes causes; None if they are exact
    accuracy: float
    within_one_step: float  # +-1-step accuracy: the neighbours of the correct class count as correct
    intervals: dict[str, Interval | None]
    image_limit: float | None = None  # least MAE that the image allows; None if the dataset's description lacks it


@dataclass(frozen=True)
class ImageError:
    """The results, as in HeadRow but in dB, of images of all test sounds rendered again from predictions.

    For reconstructed images they are in levels of the image, and the baseline is the mean training image.
    """

    mae: float
    baseline: float  # of images rendered from the training split's mean
    relative_mae: float | None
    label_rounding: float | None
    intervals: dict[str, Interval | None]


@dataclass(frozen=True)
class CategoryRow:
    """The results of a categorical parameter, whose values have no order and no distance."""

    name: str
    accuracy: float
    baseline_accuracy: float  # of the training split's most frequent category
    intervals: dict[str, Interval | None]
    confusion: Confusion
    classes: ClassMetrics | None = None  # None if the head has no probabilities


@dataclass(frozen=True)
class Evaluation:
    """All results of a test."""

    dataset: str
    num_samples: int
    nmae: float | None  # mean over trained heads of MAE / range; for a category the fraction of wrong predictions
    nmae_interval: Interval | None
    metrics: dict[str, float]  # test/..., as the trainer logged them
    rows: tuple[HeadRow, ...]
    categories: tuple[CategoryRow, ...]
    image_error: ImageError | None  # None if the synth of the sounds is not known
    reconstruction_error: ImageError | None = None  # of a model that learns features; in levels of the image
    samples: str = "sounds"  # what they are: sounds or images
    reliability: tuple[Reliability, ...] = ()  # of the uncertainties of all parameters that are not categorical
    ensemble: tuple[IntervalWidths, ...] = ()  # the widths of an ensemble's intervals beside those of its members
    maps: MapResults | None = None  # of a model that segments
    predictions: SplitPredictions | None = field(default=None, repr=False)  # None if it predicts no parameters

    def to_json(self) -> bytes:
        """Return the contents of test_results.json: all but the predictions and the drawn maps."""
        maps = self.maps and replace(self.maps, drawn=None)
        plain = asdict(replace(self, predictions=None, maps=maps))
        del plain["predictions"]
        if maps is None:
            del plain["maps"]
        else:
            del plain["maps"]["drawn"]
        return (json.dumps(plain, indent=2) + "\n").encode()


def evaluate(
    model: VIMHLitModule, datamodule: BatchDataModule, trainer: Trainer, others: Sequence[VIMHLitModule] = ()
) -> Evaluation:
    """Test a model on the test split, by which nothing is trained or chosen.

    The results are those of float32 predictions of all test sounds, whatever the trainer's precision, number of
    processes and limit on batches. With `others` they are those of an ensemble, except `metrics`, which are the first
    model's.
    """
    spec, test, train = datamodule.spec, datamodule.dataset("test"), datamodule.dataset("train")
    for each in (model, *others):
        each.to(trainer.strategy.root_device)
    if not predicts_parameters(model):
        metrics, error = _test(model, datamodule, trainer), None
        if model.heads.reconstructs:
            error = ImageError(**_errors(*reconstruction_errors(model, train, test), None))
        return Evaluation(
            dataset=spec.name,
            samples=_samples(spec),
            num_samples=len(test),
            nmae=None,
            nmae_interval=None,
            metrics=metrics,
            rows=(),
            categories=(),
            image_error=None,
            reconstruction_error=error,
            maps=map_results(model, datamodule) if predicts_maps(model) else None,
        )
    predictor = Ensemble([model, *others]) if others else model
    outputs = run_split(predictor, test, datamodule.eval_batch_size)
    estimates, levels = outputs.estimates, outputs.levels
    alone = [run_split(one, test, datamodule.eval_batch_size).estimates for one in (model, *others)] if others else []
    values = estimates.values
    metrics = _test(model, datamodule, trainer)
    truth, trained_on = spec.space.denormalize(test.targets()), spec.space.denormalize(train.targets())
    space = model.spec.space  # the same ranges; true and predicted classes are counted on the model's step grid
    limits = {row.name: row.limit_mae for row in spec.origin.sensitivity}
    rows, categories, relative_errors = _head_results(
        space, values, levels, outputs.probabilities, truth, trained_on, test.quantised, limits
    )
    trained = parameters_of(model).trained.cpu().numpy()
    nmae = relative_errors[:, trained].mean(axis=1)
    predictions = SplitPredictions(
        space=space,
        value=values,
        truth=truth,
        sd=estimates.uncertainties,
        low_68=estimates.low_68,
        high_68=estimates.high_68,
        low_90=estimates.low_90,
        high_90=estimates.high_90,
        level=levels,
        true_level=space.to_class(truth),
        baseline=baseline_values(space, trained_on),
        image_limit=np.array([limits.get(name) for name in space.names], float),
        about={
            "dataset": spec.name,
            "split": "test",
            "samples": _samples(spec),
            "dataset_sha256": spec.sha256,
            "labels": "quantised" if test.quantised else "exact",
            "data_seed": datamodule.seed,
        },
        probabilities=outputs.probabilities,
        energies=outputs.energies,
        distance=None if np.isnan(outputs.distances).any() else outputs.distances,
    )
    return Evaluation(
        dataset=spec.name,
        samples=_samples(spec),
        num_samples=len(test),
        nmae=float(nmae.mean()),
        nmae_interval=interval(resampled_means(nmae[:, None])[:, 0], len(nmae)),
        metrics=metrics,
        rows=tuple(rows),
        categories=tuple(categories),
        image_error=_image_error(datamodule, test, values, truth, typical_values(spec.space, trained_on)),
        reliability=reliability(predictions),
        ensemble=compare_widths(space, truth, estimates, alone) if alone else (),
        predictions=predictions,
    )


def _samples(spec: DatasetSpec) -> str:
    return "sounds" if spec.inputs.kind == "spectral" else "images"


def _test(model: VIMHLitModule, datamodule: BatchDataModule, trainer: Trainer) -> dict[str, float]:
    """Return the metrics that a trainer logs in a test; none if no batch is to be tested."""
    try:
        tested = trainer.test(model, datamodule=datamodule, verbose=False)
    except MisconfigurationException as error:
        raise UserError(f"trainer: {one_line(error)}") from error
    return dict(tested[0]) if tested else {}


def _head_results(
    space: ParameterSpace,
    values: np.ndarray,
    levels: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    truth: np.ndarray,
    known: np.ndarray,
    quantised: bool,
    limits: Mapping[str, float | None],
) -> tuple[list[HeadRow], list[CategoryRow], np.ndarray]:
    """Return the results of predicted values and classes (n, P), and errors as fractions of the ranges (n, P).

    `truth` (n, P) and `known` (m, P) are the test and training splits' values, all in physical units, as are the
    images' `limits` by name. `probabilities` (n, K) are those of categories, by parameter.
    """
    classes, usual = space.to_class(truth), baseline_values(space, known)
    usual_classes = space.to_class(usual)
    rounding = label_rounding(space, truth) if quantised else [None] * len(space)
    rows, categories, relative_errors = [], [], []
    for at, parameter in enumerate(space):
        error, distance = np.abs(values[:, at] - truth[:, at]), np.abs(levels[:, at] - classes[:, at])
        accuracy, accuracy_interval = _share(distance == 0)
        if parameter.kind == "categorical":
            baseline, baseline_interval = _share(classes[:, at] == usual_classes[at])
            intervals: dict[str, Interval | None] = {
                "accuracy": accuracy_interval,
                "baseline_accuracy": baseline_interval,
            }
            confusion = count_pairs(parameter, classes[:, at], levels[:, at])
            likely = probabilities.get(parameter.name)
            figures = None if likely is None else class_metrics(likely, classes[:, at], levels[:, at])
            categories.append(CategoryRow(parameter.name, accuracy, baseline, intervals, confusion, figures))
            relative_errors.append(distance > 0)
        else:
            near, near_interval = _share(distance <= 1)
            errors = _errors(error, np.abs(usual[at] - truth[:, at]), rounding[at])
            errors["intervals"] |= {"accuracy": accuracy_interval, "within_one_step": near_interval}
            errors |= {"accuracy": accuracy, "within_one_step": near, "image_limit": limits.get(parameter.name)}
            rows.append(HeadRow(parameter.name, parameter.unit, **errors))
            relative_errors.append(error / (parameter.max - parameter.min))
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


def label_rounding(space: ParameterSpace, labels: np.ndarray) -> np.ndarray:
    """Estimate the mean error (P,) of labels (n, P) that were rounded to bytes, from the rounded labels.

    The true value of a continuous parameter may be anywhere in its byte's cell; other parameters are on a step grid.
    """
    codes = space.to_byte(labels).astype(np.float64)
    places = [space.denormalize((codes + offset) / BYTE_LEVELS) for offset in (-0.375, -0.125, 0.125, 0.375)]
    within = np.mean([np.abs(place - labels) for place in places], axis=0)
    to_grid = np.abs(space.from_class(space.to_class(labels)) - labels)
    continuous = [parameter.kind == "continuous" for parameter in space]
    return np.where(continuous, within, to_grid).mean(axis=0)


def _image_error(
    datamodule: BatchDataModule, test: BatchDataset, values: np.ndarray, truth: np.ndarray, typical: np.ndarray
) -> ImageError | None:
    source = rendering_source(datamodule.spec, datamodule.trust)
    if source is None:
        return None
    candidates = {"predicted": values, "typical": typical} | ({"labels": truth} if test.quantised else {})
    found = image_errors(source, test, candidates)
    rounding = found["labels"].mean() if "labels" in found else None
    return ImageError(**_errors(found["predicted"], found["typical"], rounding))


def require_same_targets(trained: DatasetSpec, given: DatasetSpec, labels: bool = True) -> None:
    """Raise UserError unless a dataset has the images, and if they are used the labels, that a model was trained on."""
    if given.image_shape != trained.image_shape:
        raise UserError(
            f"{given.name}: images (C, H, W) are {given.image_shape}, but the model was trained on "
            f"{trained.image_shape}; give a dataset made with the same spectral settings"
        )
    ours, theirs = _front_end(trained), _front_end(given)
    known = [key for key in ours if None not in (ours[key], theirs[key])]  # older datasets do not state everything
    difference = first_difference({key: ours[key] for key in known}, {key: theirs[key] for key in known})
    if difference:
        raise UserError(
            f"{given.name}: the model was trained with {difference}; "
            "give a dataset made with the same spectral settings"
        )
    if labels and given.map_classes != trained.map_classes:
        words = [", ".join(spec.map_classes) or "none" for spec in (given, trained)]
        raise UserError(
            f"{given.name}: the classes of its maps are {words[0]}, but the model was trained on {words[1]}; give a "
            "dataset with the same maps"
        )
    if trained.targets is None or not labels:
        return
    for own, other in zip(trained.space, given.space, strict=False):
        if _target(own) != _target(other):
            raise UserError(
                f"{given.name}: {_target(other)}, but the model was trained on {_target(own)}; "
                "give a dataset of the same parameters"
            )
    if given.space.names != trained.space.names:
        raise UserError(
            f"{given.name}: has the parameters {', '.join(given.space.names)}, but the model was trained on "
            f"{', '.join(trained.space.names)}; give a dataset of the same parameters"
        )


def _front_end(spec: DatasetSpec) -> dict[str, Any]:
    origin = spec.origin
    return {
        "sample_rate": origin.sample_rate,
        "duration": origin.duration,
        "hop_length": hop_samples(spec),
        "spectral": origin.spectral and origin.spectral.model_dump(mode="json", exclude={"hop_length"}),
    }


def _target(spec: ParameterSpec) -> str:
    """Return what a label of this parameter means: its name, range, coding and categories."""
    return " ".join([f"{spec.name} {spec.min:g}..{spec.max:g} {spec.scale} {spec.kind}", *(spec.values or ())])


def load_others(model: VIMHLitModule, paths: Iterable[Path], trust: Iterable[str] = ()) -> list[VIMHLitModule]:
    """Load the other members of a model's ensemble; raise UserError for one of other parameters or images."""
    others = []
    for path in paths:
        other = load_checkpoint(path, trust)
        parameters_of(other)
        try:
            require_same_targets(model.spec, other.spec)
        except UserError as error:
            raise UserError(f"ensemble: {path}: {error}") from error
        others.append(other)
    if others:
        parameters_of(model)
    return others
