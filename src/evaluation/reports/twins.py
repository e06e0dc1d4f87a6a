"""The results of a report as Markdown, JSON, CSV and LaTeX, for papers and other programs."""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from src.evaluation.reports.check import Check
from src.evaluation.reports.heads import HeadFigures, head_table
from src.evaluation.reports.page import without_nan
from src.utils.table import Column, csv_text, escape_markdown, markdown, plain

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def to_json(title: str, rows: Sequence[HeadFigures], checks: Sequence[Check], panels: dict[str, Any]) -> str:
    """Return all results and the figures behind the panels."""
    heads = [asdict(row) for row in rows]
    content = {"title": title, "heads": heads, "checks": [asdict(check) for check in checks], **panels}
    return json.dumps(without_nan(content), indent=1, allow_nan=False) + "\n"


def to_csv(rows: Sequence[HeadFigures]) -> str:
    """Return one line a head, with all digits; a figure that is not known is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    figures = ["error", "error_low", "error_high", "baseline", "neighbour", "image_limit", "coverage_90"]
    writer.writerow(["parameter", "unit", *figures])
    for row in rows:
        low, high = row.error_interval or (None, None)
        cells = [row.error, low, high, row.baseline, row.neighbour, row.image_limit, row.coverage_90]
        numbers = ["" if value is None else f"{value:.6g}" for value in cells]
        writer.writerow([csv_text(row.name), csv_text(row.unit), *numbers])
    return text.getvalue()


def to_markdown(title: str, rows: Sequence[HeadFigures], checks: Sequence[Check], caption: str) -> str:
    """Return the table of results and the checks."""
    columns = [Column("check", text=True), Column("state", text=True), Column("why", text=True)]
    cells = [[check.name, check.state, check.why] for check in checks]
    parts = [f"# {escape_markdown(title)}", markdown(*head_table(rows)), escape_markdown(caption)]
    return "\n\n".join([*parts, "## Checks", markdown(columns, cells)]) + "\n"


def to_latex(title: str, rows: Sequence[HeadFigures], caption: str) -> str:
    """Return the table of results for LaTeX with the package booktabs."""
    columns, cells = head_table(rows)
    lines = [" & ".join(map(escape_latex, (column.heading for column in columns)))]
    lines += [" & ".join(map(escape_latex, line)) for line in cells]
    head, *body = (f"{line} \\\\" for line in lines)
    layout = "".join("l" if column.text else "r" for column in columns)
    table = ["\\begin{table}", "\\centering", f"\\caption{{{escape_latex(f'{title}. {caption}')}}}"]
    table += [f"\\begin{{tabular}}{{{layout}}}", "\\toprule", head, "\\midrule", *body, "\\bottomrule"]
    return "\n".join([*table, "\\end{tabular}", "\\end{table}"]) + "\n"


def escape_latex(text: str) -> str:
    """Return text in which LaTeX reads no command."""
    return re.sub(r"[\\{}$&#^_~%]", lambda found: _LATEX.get(found[0], f"\\{found[0]}"), plain(text))
