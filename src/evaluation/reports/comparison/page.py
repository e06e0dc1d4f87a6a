"""A comparison as one page, comparison.html: the same figures for all methods, with one selected sample."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.evaluation.reports.comparison.body import COLOURS, comparison_sections
from src.evaluation.reports.comparison.comparison import Comparison, MethodFacts
from src.evaluation.reports.comparison.panels import (
    Methods,
    costs,
    errors_by_value,
    example_rows,
    forest,
    method_errors,
    rows_in_page,
    sample_data,
)
from src.evaluation.reports.comparison.tables import STEM, title
from src.evaluation.reports.comparison.verdict import check_comparison, verdict
from src.evaluation.reports.page import make_page
from src.evaluation.reports.parts import body
from src.utils.errors import UserError
from src.utils.files import write_atomic

_STYLES = ("base.css", "report.css", "comparison.css")
_SCRIPTS = (
    *("base", "axes", "maps", "selection", "methods", "plot", "figures", "cells", "differences", "compared"),
    *("pictures", "finder", "player", "spectrogram", "sample", "comparison"),
)


def write_page(
    comparison: Comparison,
    facts: Mapping[str, MethodFacts],
    notes: Sequence[str],
    methods: Methods,
    curves: Sequence[Mapping[str, Any]],
    directory: Path,
    dataset: Path | None = None,
    trust: Iterable[str] = (),
) -> Path:
    """Write comparison.html to a directory; return its path.

    `curves` are learning curves: {method, name, metric, points (epoch, value), chosen}, with the index of the method.
    With `dataset`, the directory of a VIMH dataset, the page also has images and sounds of some samples.
    """
    runs = [run for of_method in methods.values() for run in of_method]
    errors = method_errors(methods)
    chosen = example_rows(comparison, errors)
    rows = rows_in_page(methods, list(chosen))
    pair = comparison.pairs()[0]
    data = sample_data(methods, rows) | _from_dataset(methods, pair, chosen, rows, dataset, trust)
    neighbours, missing = data.pop("neighbours"), data.pop("missing")
    data |= {
        "samples": comparison.samples,
        "sample": comparison.samples.removesuffix("s"),
        "colours": COLOURS,
        "pair": [list(methods).index(name) for name in pair],
        "errors": [{"name": parameter.name, "unit": parameter.unit} for parameter in comparison.parameters],
        "forest": forest(comparison),
        "costs": costs(comparison, facts),
        "curves": list(curves),
        "by_value": [errors_by_value(runs[0], errors, at) for at in range(len(runs[0].space))],
        "first": data["examples"][0]["row"],
    }
    checks = check_comparison(comparison, facts, [run.test_sha256 for run in runs])
    notes = [*notes, *([missing] if missing else [])]
    optional = {"has_costs": bool(data["costs"]), "has_curves": bool(data["curves"])}
    sections = comparison_sections(comparison, facts, checks, notes, neighbours, len(rows), **optional)
    heading = f"Comparison on {title(comparison)}"
    scripts = [f"{name}.js" for name in _SCRIPTS]
    page = make_page(heading, body(heading, [verdict(comparison)], sections), data, _STYLES, scripts)
    path = directory / f"{STEM}.html"
    write_atomic(path, page.encode())
    return path


def _from_dataset(
    methods: Methods,
    pair: Sequence[str],
    chosen: Mapping[int, str],
    rows: np.ndarray,
    dataset: Path | None,
    trust: Iterable[str],
) -> dict[str, Any]:
    """Return images and sounds as data of a page, and `missing`, a sentence that says what cannot be shown."""
    missing = "No images and no sounds: the dataset of these predictions is not here."
    if dataset is not None:
        from src.evaluation.reports.comparison.examples import pictures_and_sounds  # loads torch

        try:
            found = pictures_and_sounds(methods, pair, chosen, rows, dataset, trust)
            if found is not None:
                return found
            missing = "No images and no sounds: the dataset's test split is not that of these predictions."
        except UserError as error:  # the page is complete without
            missing = f"No images and no sounds: {error}."
    places = np.searchsorted(rows, list(chosen)).tolist()
    examples = [{"row": place, "why": why} for place, why in zip(places, chosen.values(), strict=True)]
    empty = {"thumbnails": None, "axes": None, "neighbours": None, "other_note": ""}
    return empty | {"examples": examples, "missing": missing}
