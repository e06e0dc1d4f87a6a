"""A comparison for the terminal, as Markdown and as JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from src.evaluation.intervals import Interval, rounded, significant, written_interval
from src.evaluation.reports.comparison.comparison import Comparison, Difference, MethodError, MethodFacts
from src.evaluation.reports.comparison.latex import latex
from src.evaluation.reports.comparison.paired_tests import FEWEST_SEEDS
from src.utils.files import write_atomic
from src.utils.table import Column, escape_markdown, markdown, show

STEM = "comparison"
_MOST_PAIRS = 3  # whose tables are printed whole; of more pairs a row each
_SMALLEST_P = 0.001  # smaller ones say no more to a reader

Table = tuple[list[Column], list[list[str]]]


def plain_results(comparison: Comparison, facts: Mapping[str, MethodFacts], notes: Sequence[str]) -> dict[str, Any]:
    """Return what comparison.json holds: all results of a comparison, as plain data."""
    methods = {name: asdict(of_method) for name, of_method in facts.items()}
    return {"title": title(comparison), "methods": methods, "notes": [*notes], **comparison.to_dict()}


def write_comparison(
    comparison: Comparison, facts: Mapping[str, MethodFacts], notes: Sequence[str], directory: Path
) -> list[Path]:
    """Write comparison.json, .md and .tex with all results; return their paths."""
    parts = [f"# {escape_markdown(title(comparison))}", markdown(*methods_table(comparison, facts))]
    parts += [markdown(*errors_table(comparison))]
    for reference, method in comparison.pairs():
        parts += [f"## {escape_markdown(_pair_title(reference, method))}"]
        parts += [markdown(*pair_table(comparison, reference, method))]
    parts += ["## Notes", "\n".join(f"- {escape_markdown(note)}" for note in [*legend(comparison), *notes])]
    plain = json.dumps(plain_results(comparison, facts, notes), indent=2)
    contents = {"json": plain, "md": "\n\n".join(parts), "tex": latex(comparison, facts)}
    paths = []
    for suffix, content in contents.items():
        paths.append(directory / f"{STEM}.{suffix}")
        write_atomic(paths[-1], f"{content}\n".encode())
    return paths


def print_comparison(
    comparison: Comparison, facts: Mapping[str, MethodFacts], notes: Sequence[str], all_in: str = ""
) -> None:
    """Print a comparison: the methods, their errors, and the differences of each pair.

    `all_in` names the file that holds what does not fit.
    """
    show(*methods_table(comparison, facts), title(comparison), all_in=all_in)
    show(*errors_table(comparison), all_in=all_in)
    tables = differences_tables(comparison)
    for heading, table in tables[:-1]:
        show(*table, heading, all_in=all_in)
    heading, table = tables[-1]
    show(*table, heading, "\n".join([*legend(comparison), *notes]), all_in)


def title(comparison: Comparison) -> str:
    """Return what was compared on."""
    return f"{comparison.dataset}: test split, {comparison.num_samples:,} {comparison.samples}"


def methods_table(comparison: Comparison, facts: Mapping[str, MethodFacts]) -> Table:
    """Return each method's overall error beside what it costs, and what sounds and seeds contribute to its interval."""
    overall = comparison.parameters[-1]
    has_seeds = any(row.seed_sd is not None for row in comparison.errors)
    has_latency = any(of_method.latency_ms is not None for of_method in facts.values())
    columns = [Column("method", text=True), Column("seeds", drop=2)]
    columns += [Column(f"error [{overall.unit}]"), Column("95 % interval")]
    columns += [Column("SE over sounds", drop=3)] + [Column("SD between seeds", drop=4)] * has_seeds
    columns += [Column("parameters"), Column("training [s]")] + [Column("latency [ms]")] * has_latency
    rows = []
    for name, of_method in facts.items():
        row = comparison.error(name, overall.name)
        cells = [name, str(len(of_method.runs)), *_error(row), significant(row.sound_se, 2)]
        cells += ["-" if row.seed_sd is None else significant(row.seed_sd, 2)] * has_seeds
        cells += ["-" if of_method.num_parameters is None else f"{of_method.num_parameters:,}"]
        cells += ["-" if of_method.training_seconds is None else significant(of_method.training_seconds, 3)]
        cells += ["-" if of_method.latency_ms is None else significant(of_method.latency_ms, 2)] * has_latency
        rows.append(cells)
    return columns, rows


def errors_table(comparison: Comparison) -> Table:
    """Return the error of each method for each parameter, beside what is known without a network."""
    has_limits = any(parameter.image_limit is not None for parameter in comparison.parameters)
    columns = [Column("parameter", text=True), Column("unit", text=True, drop=3)]
    columns += [Column("image limit", drop=1)] * has_limits + [Column("mean baseline", drop=2)]
    columns += [Column(name) for name in comparison.seeds]
    rows = []
    for parameter in comparison.parameters:
        cells = [parameter.name, parameter.unit] + [rounded(parameter.image_limit, None)] * has_limits
        cells += [rounded(parameter.mean_baseline, None)]
        cells += [_error(comparison.error(name, parameter.name))[0] for name in comparison.seeds]
        rows.append(cells)
    return columns, rows


def differences_tables(comparison: Comparison) -> list[tuple[str, Table]]:
    """Return the tables of differences with their headings: of each pair, or of many pairs one for all."""
    pairs = comparison.pairs()
    if len(pairs) > _MOST_PAIRS:
        return [(f"differences for {comparison.parameters[-1].name}", pairs_table(comparison))]
    return [(_pair_title(*pair), pair_table(comparison, *pair)) for pair in pairs]


def pair_table(comparison: Comparison, reference: str, method: str) -> Table:
    """Return the differences of a pair for each parameter."""
    units = {parameter.name: parameter.unit for parameter in comparison.parameters}
    columns = [Column("parameter", text=True), Column("unit", text=True, drop=2), *DIFFERENCE]
    rows = []
    for row in comparison.of_pair(reference, method):
        rows.append([row.parameter, units[row.parameter], *difference_cells(row)])
    return columns, rows


def pairs_table(comparison: Comparison) -> Table:
    """Return the differences of all pairs for the last parameter, which usually is the mean of all."""
    columns = [Column("method", text=True), Column("reference", text=True), *DIFFERENCE]
    rows = []
    for reference, method in comparison.pairs():
        rows.append([method, reference, *difference_cells(comparison.of_pair(reference, method)[-1])])
    return columns, rows


DIFFERENCE = (
    Column("difference"),
    Column("95 % interval"),
    Column("change", drop=1),
    Column("95 % interval", drop=3),
    Column("p"),
    Column("detectable"),
    Column("error is", text=True),
)


def legend(comparison: Comparison) -> list[str]:
    """Return what the columns mean, and for what the figures hold."""
    few = [name for name, seeds in comparison.seeds.items() if seeds < FEWEST_SEEDS]
    lines = [
        "difference: error of the method minus error of the reference, on the same "
        f"{comparison.samples}; change: the same in percent of the reference's error",
        f"p: how often a difference at least as large comes by chance; corrected for all {len(comparison.differences)} "
        "tests (Holm); from 0.05 it is unclear which error is smaller",
        "detectable: the smallest difference that a single test would find in 80 % of repetitions",
    ]
    if few and len(few) == len(comparison.seeds):
        lines.append(
            "These checkpoints are compared, not the methods: another seed may change an error by more than the "
            f"interval says. To compare methods, train each with at least {FEWEST_SEEDS} seeds."
        )
    elif few:
        lines.append(
            f"Fewer than {FEWEST_SEEDS} seeds: {', '.join(few)}; comparisons with them hold for these checkpoints."
        )
    else:
        lines.append(f"Intervals and p cover other {comparison.samples} and other seeds.")
    return lines


def _pair_title(reference: str, method: str) -> str:
    return f"{method}, compared with {reference}"


def _error(row: MethodError) -> list[str]:
    return [rounded(row.error, row.interval), written_interval(row.error, row.interval)]


def difference_cells(row: Difference) -> list[str]:
    """Return a difference as the cells of the columns `DIFFERENCE`."""
    least = _least(row.interval)
    cells = [rounded(row.difference, row.interval, least), written_interval(row.difference, row.interval, least)]
    if row.change is None or row.change_interval is None:
        cells += ["-", "-"]
    else:
        change, percent = 100 * row.change, _percent(row.change_interval)
        least = _least(percent)
        cells += [f"{rounded(change, percent, least)} %", f"{written_interval(change, percent, least)} %"]
    cells.append("<0.001" if row.adjusted_p < _SMALLEST_P else f"{row.adjusted_p:.3f}")
    return [*cells, significant(row.detectable, 2), _verdict(row)]


def _least(known: Interval) -> int:
    """Return the decimal places of a difference: two digits of half the interval's width."""
    half = (known[1] - known[0]) / 2
    return 1 - math.floor(math.log10(half)) if half > 0 else 0


def _verdict(row: Difference) -> str:
    if not row.is_significant:
        return "unclear"
    return "smaller" if row.difference < 0 else "larger"


def _percent(known: Interval) -> Interval:
    return 100 * known[0], 100 * known[1]
