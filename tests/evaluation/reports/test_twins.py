"""The results in four formats: each is read back, and no name is read as markup."""

import csv
import io
import json
import re
import shutil
import subprocess

import pytest

from src.evaluation.reports import twins
from src.evaluation.reports.check import Check
from src.evaluation.reports.heads import head_figures
from tests.evaluation.reports.made import MARKUP, make_predictions

ROWS = head_figures(make_predictions(100))
CHECKS = [Check("Coverage", "warn", f"a | b {MARKUP}.")]


def test_csv_has_all_digits_and_empty_cells():
    rows = list(csv.DictReader(io.StringIO(twins.to_csv(ROWS))))
    assert [row["parameter"] for row in rows] == ["cutoff", MARKUP, "wave", "octave"]
    for row, figures in zip(rows, ROWS, strict=True):
        assert float(row["error"]) == pytest.approx(figures.error, rel=1e-5) and row["neighbour"] == ""
        assert float(row["error_low"]) == pytest.approx(figures.error_interval[0], rel=1e-5)


def test_json_holds_figures_checks_and_panels():
    found = json.loads(twins.to_json("title", ROWS, CHECKS, {"correlations": [[1.0, float("nan")]]}))
    assert found["correlations"] == [[1.0, None]] and found["checks"][0]["state"] == "warn"
    assert found["heads"][1]["name"] == MARKUP and found["heads"][0]["error"] == ROWS[0].error


def test_markdown_has_one_row_a_head_and_no_markup():
    text = twins.to_markdown("a_title", ROWS, CHECKS, "Caption.")
    assert text.startswith("# a_title\n") and len(re.findall(r"^\| ", text, re.MULTILINE)) == 2 + 4 + 3
    assert MARKUP not in text and r"\<img" in text


def test_latex_escapes_every_special_character():
    assert twins.escape_latex(r"\a_b%c&d#e{f}~^$") == (
        r"\textbackslash{}a\_b\%c\&d\#e\{f\}\textasciitilde{}\textasciicircum{}\$"
    )
    text = twins.to_latex("title", ROWS, "Caption.")
    assert text.count(r"\\") == 5 and r"\toprule" in text and "11.8 %" not in text.replace(r"\%", "")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    table = twins.to_latex("title", ROWS, "Caption.")
    page = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}{table}\\end{{document}}"
    (tmp_path / "page.tex").write_text(page)
    line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    assert subprocess.run(line, cwd=tmp_path, capture_output=True, check=False).returncode == 0
