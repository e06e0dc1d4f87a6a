"""A comparison as a LaTeX table, which needs the package booktabs."""

import re
from collections.abc import Mapping

from src.evaluation.intervals import Interval, places, rounded
from src.evaluation.reports.comparison.comparison import Comparison, MethodFacts, Parameter

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def latex(comparison: Comparison, facts: Mapping[str, MethodFacts]) -> str:
    """Return a table with a row for each parameter, for the size and for the time, and a column for each method.

    An error is bold if it is significantly smaller than that of the baseline, by default the first method, and has a
    dagger if it is significantly larger.
    """
    methods = list(comparison.seeds)
    baseline = comparison.baseline or methods[0]
    has_limits = any(parameter.image_limit is not None for parameter in comparison.parameters)
    headings = ["parameter", *["image limit"] * has_limits, "mean baseline", *map(escape, methods)]
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(comparison, baseline)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        r"\toprule",
        f"{' & '.join(headings)} \\\\",
        r"\midrule",
    ]
    for parameter in comparison.parameters:
        limit = parameter.image_limit
        cells = [_heading(parameter), *["--" if limit is None else rounded(limit, None)] * has_limits]
        cells += [rounded(parameter.mean_baseline, None)]
        cells += [_cell(comparison, baseline, name, parameter.name) for name in methods]
        lines.append(f"{' & '.join(cells)} \\\\")
    before = " & " * (len(headings) - len(methods))
    sizes = [_known(facts[name].num_parameters) for name in methods]
    seconds = [_known(facts[name].training_seconds) for name in methods]
    lines += [r"\midrule", f"weights{before}{' & '.join(sizes)} \\\\"]
    lines += [f"training [s]{before}{' & '.join(seconds)} \\\\"]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Return text that LaTeX sets as it is."""
    return re.sub(r"[\\~^_%&#${}]", lambda match: _SPECIAL.get(match[0], f"\\{match[0]}"), text)


def with_uncertainty(value: float, known: Interval | None) -> str:
    """Return a value with half the width of its 95 % interval in units of its last digit, as in 0.026(4)."""
    if known is None or not known[1] > known[0]:
        return rounded(value, known)
    decimals, half = places(value, known), (known[1] - known[0]) / 2
    mantissa, *exponent = rounded(value, known).split("e")
    last_digits = round(half * 10**decimals) if decimals > 0 or exponent else round(half, decimals)
    return "e".join([f"{mantissa}({last_digits:.0f})", *exponent])


def _cell(comparison: Comparison, baseline: str, method: str, parameter: str) -> str:
    row = comparison.error(method, parameter)
    text = with_uncertainty(row.error, row.interval)
    for difference in comparison.differences:
        if {difference.reference, difference.method} != {baseline, method} or difference.parameter != parameter:
            continue
        if difference.is_significant and method != baseline:
            is_better = (difference.difference < 0) == (difference.method == method)
            return rf"\textbf{{{text}}}" if is_better else rf"{text}$^\dagger$"
    return text


def _known(figure: float | None) -> str:
    return "--" if figure is None else f"{figure:,.0f}"


def _heading(parameter: Parameter) -> str:
    return escape(f"{parameter.name} [{parameter.unit}]" if parameter.unit else parameter.name)


def _caption(comparison: Comparison, baseline: str) -> str:
    seeds = ", ".join(f"{count} of {name}" for name, count in comparison.seeds.items())
    about = (
        f"Mean absolute errors on {comparison.num_samples:,} test {comparison.samples} of {comparison.dataset}, with "
        f"half the width of the 95 % interval in the last digits. Runs with different seeds: {seeds}. Bold: smaller "
        f"than {baseline}, "
    )
    tests = len(comparison.differences)
    return rf"{escape(about)}$\dagger$: larger (paired test at 5\,\%, corrected for {tests} tests by Holm's method)."
