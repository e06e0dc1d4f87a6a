"""A comparison as tables, JSON and LaTeX: nothing is cut, and only what is significant is marked."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from src.evaluation.reports.comparison.comparison import MethodFacts, compare
from src.evaluation.reports.comparison.latex import escape, latex, with_uncertainty
from src.evaluation.reports.comparison.tables import pair_table, print_comparison, write_comparison
from tests.evaluation.reports.predictions import predicted


def made(names=("cnn_micro", "100 %"), seeds=1, baseline=None, scale=1.0):
    """Return a comparison in which the last method's errors are half as large, and what is known of the methods."""
    random = np.random.default_rng(0)
    methods = {}
    for at, name in enumerate(names):
        size = scale * (0.5 if at == len(names) - 1 else 1.0) * np.array([1.0, 0.001])
        methods[name] = [predicted(size * random.standard_normal((200, 2))) for _ in range(seeds)]
    facts = {name: MethodFacts((f"logs/{name}",), (1,) * seeds, 12_345, 61.5, None) for name in names}
    return compare(methods, baseline), facts


@pytest.fixture
def printed(capsys, monkeypatch):
    def lines(*arguments):
        monkeypatch.setenv("COLUMNS", "80")
        print_comparison(*arguments)
        return capsys.readouterr().out.splitlines()

    return lines


def test_the_tables_fit_80_columns(printed):
    lines = printed(*made(), ["A note."])
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    for part in ("mine_2: test split, 200 sounds", "100 %, compared with cnn_micro", "12,345", "61.5", "A note."):
        assert part in text
    assert re.search(r"\nall .* <0\.001 .* smaller\n", text)
    assert "These checkpoints are compared, not the methods" in text


def test_with_seeds_both_spreads_are_shown_and_no_caveat(tmp_path):
    comparison, facts = made(seeds=3)
    write_comparison(comparison, facts, [], tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    assert "SE over sounds | SD between seeds" in text
    assert "other sounds and other seeds" in text and "checkpoints" not in text


def test_of_many_pairs_one_row_each_is_printed(printed):
    text = "\n".join(printed(*made("abcd"), []))
    assert "differences for all parameters" in text and "compared with" not in text
    assert "compared with" in "\n".join(printed(*made("abcd", baseline="a"), []))


def test_what_is_not_told_apart_is_unclear():
    comparison, _ = made("abc")
    columns, rows = pair_table(comparison, "a", "b")
    assert {row[-1] for row in rows} == {"unclear"}
    assert all(len(row) == len(columns) for row in rows)
    assert {row[-1] for row in pair_table(comparison, "a", "c")[1]} == {"smaller"}


def test_the_files_hold_all_results(tmp_path):
    comparison, facts = made("abcde")
    paths = write_comparison(comparison, facts, ["A *note*."], tmp_path)
    assert [path.name for path in paths] == ["comparison.json", "comparison.md", "comparison.tex"]
    plain = json.loads(paths[0].read_text())
    assert len(plain["differences"]) == 10 * 3 and plain["notes"] == ["A *note*."]
    assert plain["methods"]["a"] == {
        "runs": ["logs/a"],
        "seeds": [1],
        "num_parameters": 12345,
        "training_seconds": 61.5,
        "latency_ms": None,
        "hardware": [],
        "commits": [],
    }
    assert plain["differences"][0]["p"] == comparison.differences[0].p
    text = paths[1].read_text()
    assert text.count("\n## ") == 11 and r"A \*note\*." in text


def test_only_significant_differences_are_marked_in_latex():
    comparison, facts = made("abc")
    for line in latex(comparison, facts).splitlines():
        cells = line.split(" & ")
        if line.startswith("p\\_"):
            assert [r"\textbf" in cell for cell in cells[-3:]] == [False, False, True]
    text = latex(*made("abc", baseline="c"))
    assert text.count(r"$^\dagger$") == 2 * 3 and r"\textbf" not in text


def test_latex_escapes_names():
    text = latex(*made())
    assert r"cnn\_micro & 100 \%" in text and r"mine\_2" in text
    unescaped = re.sub(r"\\[_%&#${}]", "", "".join(text.split("booktabs}")[1:]))
    assert "%" not in unescaped and "_" not in unescaped.replace("p_", "")
    assert escape(r"a\b~c^d") == r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (0.0261, 0.004, "0.026(4)"),
        (26.1, 3.4, "26(3)"),
        (1234.0, 120.0, "1200(100)"),
        (126.0, 31.0, "130(30)"),
        (0.087, 0.072, "0.087(72)"),
        (2.61e-6, 4e-7, "2.6(4)e-06"),
        (8.5, 0.0, "8.5"),
    ],
)
def test_the_last_digits_are_half_the_interval(value, half, text):
    assert with_uncertainty(value, (value - half, value + half)) == text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path):
    body = latex(*made(("cnn_micro", "100 %", "a#b$c")))
    text = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "table.tex").write_text(text.replace(r"% \usepackage{booktabs}", ""))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
