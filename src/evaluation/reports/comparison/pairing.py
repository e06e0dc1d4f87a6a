"""Which predictions may be compared sound by sound: those of the same test split and the same parameters."""

from collections.abc import Sequence

import numpy as np

from src.evaluation.predictions_file import SplitPredictions
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError

_FIELDS = ("name", "kind", "unit", "min", "max", "values")  # of a parameter; its step does not change an error
_EVAL = "python src/eval.py ckpt_path=... data.data_dir=..."


def require_paired(runs: Sequence[tuple[str, SplitPredictions]]) -> list[str]:
    """Return what a reader should know of the runs' sounds; raise UserError if one does not pair with the first.

    Each run has the name that a message may use. Sounds pair by their index, so the true values have to be the same,
    number by number. The images may differ, as they do with another front end.
    """
    (reference, first), *others = runs
    for name, run in runs:
        if not np.isfinite(run.value).all():
            raise UserError(f"{name}: predicts values that are not finite; leave this run out, or train it again")
    for name, run in others:
        fault = _difference(first, run)
        if fault:
            raise UserError(f"{name} does not pair with {reference}: {fault}")
    checksums = {run.test_sha256 for _, run in runs}
    if len(checksums - {None}) < 2:
        return []
    return ["The test images differ, but their parameters are the same: sounds are paired by index."]


def _difference(first: SplitPredictions, second: SplitPredictions) -> str | None:
    """Return what prevents a comparison, and what to do."""
    fault = _parameter_difference(first.space, second.space)
    if fault:
        return f"{fault}; compare runs that predict the same parameters"
    counts = len(second.truth), len(first.truth)
    if counts[0] != counts[1]:
        return f"{counts[0]:,} test sounds, not {counts[1]:,}; test both on one dataset: {_EVAL}"
    if np.array_equal(first.truth, second.truth):
        return None
    labels = second.about.get("labels"), first.about.get("labels")
    if labels[0] != labels[1]:
        return f"its true values are {labels[0]}, not {labels[1]}; train both with data.labels={labels[1]}"
    checksums = [str(run.test_sha256)[:12] for run in (second, first)]
    return f"other test sounds, SHA-256 {checksums[0]}, not {checksums[1]}; test both on one dataset: {_EVAL}"


def _parameter_difference(first: ParameterSpace, second: ParameterSpace) -> str | None:
    if first.names != second.names:
        return f"it predicts {_listed(second.names)}, not {_listed(first.names)}"
    for one, other in zip(first, second, strict=True):
        for field in _FIELDS:
            if getattr(one, field) != getattr(other, field):
                return f"{field} of {one.name} is {getattr(other, field)}, not {getattr(one, field)}"
    return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
