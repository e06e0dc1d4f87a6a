"""The figures behind each panel of a comparison's page, from predictions alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reports.comparison.comparison import ALL, Comparison, MethodFacts, sound_errors
from src.evaluation.reports.comparison.tables import difference_cells
from src.evaluation.reports.page import packed
from src.evaluation.reports.panels import reasons_by_row
from src.evaluation.reports.parameter_data import parameter_data, value_bins
from src.parameters.codec import from_class

Methods = Mapping[str, Sequence[SplitPredictions]]

MOST_VALUES = 1_000_000  # true and predicted ones in a page: 5.3 MB
_SEED = 0  # of the sample of a larger split, so that a page can be made again
_MOST_CLASSES = 12  # with an error each; finer grids of classes are merged
_COSTS = (("num_parameters", "parameters"), ("training_seconds", "training, s"), ("latency_ms", "latency, ms"))


def method_errors(methods: Methods) -> dict[str, np.ndarray]:
    """Return the errors (n, K) of each method, means over its runs; see `sound_errors`."""
    return {name: np.mean([sound_errors(run) for run in runs], axis=0) for name, runs in methods.items()}


def example_rows(comparison: Comparison, errors: Mapping[str, np.ndarray]) -> dict[int, str]:
    """Return rows and why they are shown: those with the most different errors of the first pair of methods."""
    reference, method = comparison.pairs()[0]
    difference = errors[method] - errors[reference]
    order = np.argsort(difference[:, -1], kind="stable")
    wanted = [(order[len(order) // 2], "median")]
    if difference[order[0], -1] < 0:
        wanted.insert(0, (order[0], f"{method} better"))
    if difference[order[-1], -1] > 0:
        wanted.append((order[-1], f"{reference} better"))
    for at, parameter in enumerate(comparison.parameters):
        if parameter.name != ALL:
            wanted.append((np.argmax(np.abs(difference[:, at])), f"largest difference of {parameter.name}"))
    return reasons_by_row([(int(row), why) for row, why in wanted])


def rows_in_page(methods: Methods, always: Sequence[int]) -> np.ndarray:
    """Return the rows (k,), in order, whose values a page can hold: all, or a random sample and those in `always`."""
    runs = [run for of_method in methods.values() for run in of_method]
    count, parameters = runs[0].truth.shape
    most = MOST_VALUES // (parameters * (len(runs) + 1))
    if count <= most:
        return np.arange(count)
    drawn = np.random.default_rng(_SEED).choice(count, most, replace=False)
    return np.union1d(drawn, np.asarray(always, np.int64))


def sample_data(methods: Methods, rows: np.ndarray) -> dict[str, Any]:
    """Return the true and the predicted values of some rows as data of a page.

    `truth` is (P, k), `value` (R, P, k) with the runs of the first method first.
    """
    runs = [run for of_method in methods.values() for run in of_method]
    first = runs[0]
    return {
        "count": len(rows),
        "ids": None if len(rows) == len(first.truth) else rows.tolist(),
        "parameters": [parameter_data(spec) for spec in first.space],
        "methods": [{"name": name, "runs": len(of_method)} for name, of_method in methods.items()],
        "predictions": {
            "truth": packed(first.truth[rows].astype(np.float32).T),
            "value": packed(np.stack([run.value[rows].astype(np.float32).T for run in runs])),
        },
    }


def errors_by_value(run: SplitPredictions, errors: Mapping[str, np.ndarray], at: int) -> list[dict[str, Any]]:
    """Return the mean errors of each method in parts of the range of parameter `at`.

    A row has the middle of the part, the number of samples, and the errors in the order of the methods. The parts are
    the classes of a coarse grid, and those of a category are numbered.
    """
    spec = run.space.varying[at]
    if spec.kind == "categorical" or (spec.kind == "ordinal" and spec.num_classes <= _MOST_CLASSES):
        bins, classes = run.true_level[:, at], np.arange(spec.num_classes)
        middles = classes + 0.5 if spec.kind == "categorical" else from_class(spec, classes)
    else:
        bins, middles = value_bins(spec, run.truth[:, at])
    rows = []
    for which, middle in enumerate(middles.tolist()):
        inside = bins == which
        if inside.any():
            means = [float(of_method[inside, at].mean()) for of_method in errors.values()]
            rows.append({"at": middle, "count": int(inside.sum()), "errors": means})
    return rows


def forest(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the differences of all pairs for each parameter, as numbers and as the cells of a table."""
    figures = []
    for parameter in comparison.parameters:
        rows = []
        for row in comparison.differences:
            if row.parameter == parameter.name:
                rows.append(
                    {
                        "pair": f"{row.method} - {row.reference}",
                        "difference": row.difference,
                        "interval": row.interval,
                        "detectable": row.detectable,
                        "significant": row.is_significant,
                        "cells": difference_cells(row),
                    }
                )
        figures.append({"name": parameter.name, "unit": parameter.unit, "rows": rows})
    return figures


def costs(comparison: Comparison, facts: Mapping[str, MethodFacts]) -> list[dict[str, Any]]:
    """Return the overall error of each method against what it costs, for each cost that is known of two methods."""
    overall = comparison.parameters[-1].name
    figures = []
    for field, title in _COSTS:
        points = []
        for at, (name, of_method) in enumerate(facts.items()):
            cost, row = getattr(of_method, field), comparison.error(name, overall)
            if cost is not None and cost > 0:
                points.append({"method": at, "cost": cost, "error": row.error, "interval": row.interval})
        if len(points) > 1:
            figures.append({"title": title, "points": points})
    return figures
