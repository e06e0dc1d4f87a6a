"""A comparison as one page, comparison.html: the same figures for all methods, with one selected sample."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.evaluation.intervals import rounded
from src.evaluation.reports.body import body, checks_section, curves_section, finder_section, sample_section, sentences
from src.evaluation.reports.comparison import ALL, Comparison, MethodFacts
from src.evaluation.reports.comparison_panels import (
    Methods,
    costs,
    errors_by_value,
    example_rows,
    forest,
    method_errors,
    rows_in_page,
    sample_data,
)
from src.evaluation.reports.comparison_tables import (
    STEM,
    Table,
    differences_tables,
    errors_table,
    legend,
    methods_table,
    title,
)
from src.evaluation.reports.comparison_verdict import check_comparison, verdict
from src.evaluation.reports.page import make_page, section, table, text
from src.utils.files import write_atomic
from src.utils.table import Column

_STYLES = ("base.css", "report.css", "comparison.css")
_SCRIPTS = (
    *("base", "selection", "methods", "plot", "figures", "cells", "differences", "compared", "pictures", "finder"),
    *("player", "sample", "comparison"),
)
_COLOURS = 8  # of methods; later ones have the same colours and other dashes
_PAIR = """<form id="pair" class="controls"><label>method A <select name="a"></select></label>
<label>method B <select name="b"></select></label></form>
<p class="soft">A difference of errors is that of B minus that of A: below 0, B is better.</p>"""


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
    With `dataset`, a directory that holds the sounds of the comparison, the page also has images and sounds of some.
    """
    errors = method_errors(methods)
    chosen = example_rows(comparison, errors)
    rows = rows_in_page(methods, list(chosen))
    first = next(iter(methods.values()))[0]
    known = _from_dataset(methods, chosen, rows, dataset, trust)
    data = sample_data(methods, rows) | known
    data |= {
        "samples": comparison.samples,
        "sample": comparison.samples.removesuffix("s"),
        "colours": _COLOURS,
        "pair": [list(methods).index(name) for name in comparison.pairs()[0]],
        "errors": [{"name": parameter.name, "unit": parameter.unit} for parameter in comparison.parameters],
        "forest": forest(comparison),
        "costs": costs(comparison, facts),
        "curves": list(curves),
        "by_value": [errors_by_value(first.space, first.truth, errors, at) for at in range(len(first.space))],
        "first": known["examples"][0]["row"],
    }
    neighbours = data.pop("neighbours")
    sections = [
        checks_section(check_comparison(comparison, facts, _checksums(methods))),
        _methods_section(comparison, facts, neighbours, data.pop("neighbours_of")),
        _differences_section(comparison),
    ]
    if data["costs"]:
        sections.append(_figures_section("costs", "Error and cost"))
    sections += [
        finder_section(comparison.samples, *_sample_notes(comparison, rows), _PAIR),
        sample_section(comparison.num_samples - 1, _key(methods, '<span class="key true"></span>true ')),
        _heads_section(comparison, methods),
    ]
    if data["curves"]:
        sections.append(curves_section())
    sections.append(section("notes", "Notes", sentences([*_sentences(legend(comparison)), *notes, data["missing"]])))
    sections.append(section("runs", "Runs", table(*_runs_table(facts), "Runs of each method")))
    heading = title(comparison)
    page = make_page(
        f"Comparison: {heading}",
        body(f"Comparison on {heading}", [verdict(comparison)], sections),
        data,
        _STYLES,
        [f"{name}.js" for name in _SCRIPTS],
    )
    path = directory / f"{STEM}.html"
    write_atomic(path, page.encode())
    return path


def _from_dataset(
    methods: Methods, chosen: Mapping[int, str], rows: np.ndarray, dataset: Path | None, trust: Iterable[str]
) -> dict[str, Any]:
    """Return images and sounds as data of a page; without a dataset the examples have neither."""
    missing = "No images and no sounds: the dataset of these predictions is not here."
    if dataset is not None:
        from src.evaluation.reports.comparison_examples import pictures_and_sounds  # loads torch

        found = pictures_and_sounds(methods, chosen, rows, dataset, trust)
        if found is not None:
            return found | {"grey": False, "other_note": "The page has the sounds of the buttons above only."}
        missing = "No images and no sounds: the dataset's test split is not that of these predictions."
    places = np.searchsorted(rows, list(chosen)).tolist()
    examples = [{"row": place, "why": why} for place, why in zip(places, chosen.values(), strict=True)]
    empty = dict.fromkeys(("thumbnails", "axes", "neighbours", "neighbours_of"))
    return empty | {"examples": examples, "missing": missing, "grey": False, "other_note": ""}


def _checksums(methods: Methods) -> list[str | None]:
    runs = [run for of_method in methods.values() for run in of_method]
    return [dict(run.about.get("dataset_sha256") or {}).get("test") for run in runs]


def _methods_section(
    comparison: Comparison,
    facts: Mapping[str, MethodFacts],
    neighbours: np.ndarray | None,
    neighbours_of: tuple[int, int] | None,
) -> str:
    columns, rows = errors_table(comparison)
    notes = []
    if neighbours is not None and neighbours_of is not None:
        columns, rows = _with_neighbours(comparison, columns, rows, neighbours)
        notes.append(
            "Nearest neighbour: the error of the labels of the training image that is most like the test image, for "
            f"{neighbours_of[0]:,} test and {neighbours_of[1]:,} training {comparison.samples}."
        )
    parts = [table(*methods_table(comparison, facts), "Methods"), table(columns, rows, "Errors of each parameter")]
    return section("methods", "Methods", *parts, sentences(notes))


def _with_neighbours(
    comparison: Comparison, columns: list[Column], rows: list[list[str]], neighbours: np.ndarray
) -> Table:
    """Return the table of errors with a column of the nearest neighbours' errors beside the mean baseline."""
    place = [column.heading for column in columns].index("mean baseline") + 1
    wider = []
    for at, row in enumerate(rows):
        cell = "-"
        if comparison.parameters[at].name != ALL:
            share = 100 if comparison.parameters[at].unit == "% wrong" else 1
            cell = rounded(share * float(neighbours[at]), None)
        wider.append([*row[:place], cell, *row[place:]])
    return [*columns[:place], Column("nearest neighbour"), *columns[place:]], wider


def _differences_section(comparison: Comparison) -> str:
    parts = [
        '<p class="soft">A line is the 95 % interval of a difference of errors; left of 0 the first method is better. '
        "Blue: told apart from 0 in all tests together. The grey bar: smaller differences are often not found.</p>",
        '<div id="forest" class="figures wide"></div>',
    ]
    for heading, one in differences_tables(comparison):
        parts += [f"<h3>{text(heading)}</h3>", table(*one, heading)]
    return section("differences", "Differences", *parts)


def _figures_section(name: str, heading: str) -> str:
    return section(name, heading, f'<div id="{name}-figures" class="figures wide"></div>')


def _sample_notes(comparison: Comparison, rows: np.ndarray) -> list[str]:
    if len(rows) == comparison.num_samples:
        return []
    count = f"{len(rows):,} of {comparison.num_samples:,} {comparison.samples}"
    return [sentences([f"The figures of {comparison.samples} show a random sample, {count}. All tables are of all."])]


def _heads_section(comparison: Comparison, methods: Methods) -> str:
    parts = [f'<p class="soft">{_key(methods)}</p>']
    for at, parameter in enumerate(comparison.parameters):
        name = f"{parameter.name} [{parameter.unit}]" if parameter.unit else parameter.name
        parts.append(f'<h3>{text(name)}</h3>\n<div id="head-{at}" class="figures wide"></div>')
    return section("heads", "Each parameter", *parts)


def _key(methods: Methods, before: str = "") -> str:
    names = (f'<span class="key method-{at % _COLOURS}"></span>{text(name)}' for at, name in enumerate(methods))
    return before + " ".join(names)


def _runs_table(facts: Mapping[str, MethodFacts]) -> Table:
    rows = []
    for name, of_method in facts.items():
        for run, seed in zip(of_method.runs, of_method.seeds, strict=True):
            rows.append([name, "-" if seed is None else str(seed), run])
    return [Column("method", text=True), Column("seed"), Column("directory", text=True)], rows


def _sentences(lines: Sequence[str]) -> list[str]:
    return [f"{line[0].upper()}{line[1:].rstrip('.')}." for line in lines]
