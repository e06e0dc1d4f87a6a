"""A row of checks on top of a report: what could make its figures wrong or useless, as data."""

from collections.abc import Sequence

import numpy as np

from src.data.datamodule import BatchDataModule
from src.data.spec import DatasetSpec
from src.evaluation.calibration import coverages
from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reports.check import Check, State
from src.evaluation.reports.dataset import checks as dataset_checks
from src.evaluation.reports.heads import HeadFigures
from src.models.heads.calibration import BANDS
from src.models.heads.multi_head import Estimates

_LEAST_COVERAGE = 0.75  # of a 90 % interval: below, every second interval that misses should not
_FLAT, _LOW = 0.1, 0.5  # spread of the predictions / spread of the true values
_NO_BETTER = 0.95  # error / error of the mean baseline


def run_checks(
    predictions: SplitPredictions,
    rows: Sequence[HeadFigures],
    spec: DatasetSpec | None,
    datamodule: BatchDataModule | None,
) -> list[Check]:
    """Return all checks; those that need the dataset or its description are `unknown` without it."""
    return [
        check_leakage(datamodule),
        dataset_checks.check_effects(spec),
        check_coverage(predictions),
        check_collapse(predictions, rows),
        check_distribution(predictions.distance),
    ]


def check_leakage(datamodule: BatchDataModule | None) -> Check:
    """Check whether test samples are also training samples."""
    if datamodule is None:
        return Check("No leakage", "unknown", "The dataset is not here, so its splits were not compared.")
    splits = {split: datamodule.dataset(split) for split in ("train", "test")}
    return dataset_checks.check_leakage(splits, {"train": splits["train"].targets()})


def check_coverage(predictions: SplitPredictions) -> Check:
    """Check whether the intervals contain as many true values as they state."""
    name = "Coverage of intervals"
    ends = (predictions.low_68, predictions.high_68, predictions.low_90, predictions.high_90)
    found = coverages(predictions.space, predictions.truth, Estimates(predictions.value, predictions.sd, *ends))
    if not found:
        return Check(name, "unknown", "No head states an interval.")
    worst = min(row.intervals[1] for row in found)
    off = []
    for row in found:
        inside = zip(row.intervals, BANDS, strict=True)
        if not all(low <= share <= high for share, (low, high) in inside):
            off.append(f"{row.name} {100 * row.intervals[0]:.0f} and {100 * row.intervals[1]:.0f} %")
    if off:
        why = f"True values in the 68 % and in the 90 % interval: {', '.join(off)}."
        return Check(name, "fail" if worst < _LEAST_COVERAGE else "warn", why)
    return Check(
        name, "pass", f"The 90 % intervals contain at least {100 * worst:.0f} % of the true values of each head."
    )


def check_collapse(predictions: SplitPredictions, rows: Sequence[HeadFigures]) -> Check:
    """Check whether a head predicts nearly the same for all samples, or no better than the mean baseline."""
    name = "No collapse"
    flat, low = [], []
    for at, (spec, row) in enumerate(zip(predictions.space, rows, strict=True)):
        if spec.kind == "categorical":
            kinds, true_kinds = (np.unique(each[:, at]).size for each in (predictions.level, predictions.true_level))
            spread = 0.0 if kinds == 1 < true_kinds else 1.0
        else:
            true_spread = np.std(predictions.truth[:, at], dtype=np.float64)
            spread = np.std(predictions.value[:, at], dtype=np.float64) / true_spread if true_spread else 1.0
        share = row.share_of_baseline
        if spread < _FLAT or not np.isfinite(row.error):
            flat.append(spec.name)
        elif spread < _LOW or (share is not None and share > _NO_BETTER):
            low.append(spec.name)
    if flat:
        return Check(name, "fail", f"Nearly the same prediction for all samples: {', '.join(flat)}.")
    if low:
        return Check(name, "warn", f"Hardly better than the mean baseline: {', '.join(low)}.")
    return Check(name, "pass", "The predictions of each head follow the true values.")


def check_distribution(distance: np.ndarray | None) -> Check:
    """Check how many samples are unlike the training samples, by their distances (n,): 1 % are expected above 1."""
    name = "In distribution"
    if distance is None:
        return Check(name, "unknown", "Not measured: the model has too few validation samples, or is an older one.")
    share = float((distance > 1).mean())
    state: State = "pass" if share <= 0.03 else "warn" if share <= 0.2 else "fail"
    return Check(name, state, f"{100 * share:.1f} % of the samples are unlike the training samples; 1 % is expected.")
