"""The sections of a comparison's page as HTML, in the order in which one reads them."""

from collections.abc import Mapping, Sequence

import numpy as np

from src.evaluation.intervals import rounded
from src.evaluation.reports.body import curves_section, neighbours_note, sample_section
from src.evaluation.reports.check import Check
from src.evaluation.reports.comparison.comparison import ALL, Comparison, MethodFacts
from src.evaluation.reports.comparison.tables import Table, differences_tables, errors_table, legend, methods_table
from src.evaluation.reports.page import section, table, text
from src.evaluation.reports.parts import checks_section, finder_section, sentences
from src.utils.table import Column

COLOURS = 8  # of methods; later ones have the same colours and other dashes

Neighbours = tuple[np.ndarray, int, int]  # errors (P,), and the numbers of test and of training images

_FOREST = """<p class="soft">A line is the 95 % interval of a difference of errors; left of 0 the method named first
is better. Blue: told apart from 0, all tests taken together. Grey bar: differences that are often not found.</p>
<div id="forest" class="figures wide"></div>"""

_PAIR = """<form id="pair" class="controls"><label>method A <select name="a"></select></label>
<label>method B <select name="b"></select></label></form>
<p class="soft">A difference of errors is that of B minus that of A: below 0, B is better.</p>"""


def comparison_sections(
    comparison: Comparison,
    facts: Mapping[str, MethodFacts],
    checks: Sequence[Check],
    notes: Sequence[str],
    neighbours: Neighbours | None,
    count: int,
    has_costs: bool,
    has_curves: bool,
) -> list[str]:
    """Return the sections of a page that holds `count` of the samples."""
    sections = [checks_section(checks), _methods_section(comparison, facts, neighbours)]
    sections.append(_differences_section(comparison))
    if has_costs:
        sections.append(section("costs", "Error and cost", '<div id="cost-figures" class="figures wide"></div>'))
    part = []
    if count < comparison.num_samples:
        which = f"a random sample, {count:,} of {comparison.num_samples:,} {comparison.samples}"
        part.append(f"This section and the points below show {which}. All other figures and tables are of all.")
    key = _key(comparison)
    sections.append(finder_section(comparison.samples, sentences(part), _PAIR))
    first_runs = "; images and sounds are those of first runs" if max(comparison.seeds.values()) > 1 else ""
    sample_key = f'<span class="key true"></span>true {key}{first_runs}'
    sections.append(sample_section(comparison.num_samples - 1, sample_key))
    sections.append(section("heads", "Each parameter", f'<p class="soft">{key}</p>', *_heads(comparison)))
    if has_curves:
        sections.append(curves_section())
    sections.append(section("notes", "Notes", sentences([*legend(comparison), *notes])))
    sections.append(section("runs", "Runs", table(*_runs_table(facts), "Runs of each method")))
    return sections


def _methods_section(comparison: Comparison, facts: Mapping[str, MethodFacts], neighbours: Neighbours | None) -> str:
    columns, rows = errors_table(comparison)
    notes = []
    if neighbours is not None:
        columns, rows = _with_neighbours(comparison, columns, rows, neighbours[0])
        notes.append(neighbours_note(*neighbours[1:], comparison.samples))
    parts = [table(*methods_table(comparison, facts), "Methods"), table(columns, rows, "Errors of each parameter")]
    return section("methods", "Methods", *parts, sentences(notes))


def _with_neighbours(comparison: Comparison, columns: list[Column], rows: list[list[str]], errors: np.ndarray) -> Table:
    """Return the table of errors with the nearest neighbours' errors beside the mean baseline."""
    place = [column.heading for column in columns].index("mean baseline") + 1
    wider = []
    for at, row in enumerate(rows):
        parameter = comparison.parameters[at]
        error = None
        if parameter.name != ALL:
            error = float(errors[at]) * (100 if parameter.unit == "% wrong" else 1)
        wider.append([*row[:place], rounded(error, None), *row[place:]])
    return [*columns[:place], Column("nearest neighbour"), *columns[place:]], wider


def _differences_section(comparison: Comparison) -> str:
    parts = [_FOREST]
    for heading, one in differences_tables(comparison):
        parts += [f"<h3>{text(heading)}</h3>", table(*one, heading)]
    return section("differences", "Differences", *parts)


def _heads(comparison: Comparison) -> list[str]:
    parts = []
    for at, parameter in enumerate(comparison.parameters):
        name = f"{parameter.name} [{parameter.unit}]" if parameter.unit else parameter.name
        parts.append(f'<h3>{text(name)}</h3>\n<div id="head-{at}" class="figures wide"></div>')
    return parts


def _key(comparison: Comparison) -> str:
    names = enumerate(comparison.seeds)
    return " ".join(f'<span class="key method-{at % COLOURS}"></span>{text(name)}' for at, name in names)


def _runs_table(facts: Mapping[str, MethodFacts]) -> Table:
    rows = []
    for name, of_method in facts.items():
        for run, seed in zip(of_method.runs, of_method.seeds, strict=True):
            rows.append([name, "-" if seed is None else str(seed), run])
    return [Column("method", text=True), Column("seed"), Column("directory", text=True)], rows
