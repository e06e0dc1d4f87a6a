"""Tables of reliability and of categories: what fits the screen, and the file of confusions."""

import csv
import io

from src.evaluation.class_metrics import ClassMetrics
from src.evaluation.confusion import Confusion
from src.evaluation.evaluate import CategoryRow, Evaluation
from src.evaluation.reliability import Reliability
from src.evaluation.tables import write_evaluation
from src.evaluation.uncertainty_tables import CONFUSION_FILE, confusion_csv, print_reliability


def evaluation():
    names = ("cutoff_frequency", "resonance")
    shares = ((0.9, 0.81234, None, 0.95), (0.9, 0.92, 0.89, 0.8))
    pit = (0.1,) * 10
    rows = [Reliability(name, "Hz", 0.9012, *shares, 1.2345, pit) for name in names]
    rows.append(Reliability("level", "dB", 1.0, (None,) * 4, (None,) * 4, 0.5, pit))
    confusion = Confusion(("saw", "=1+1"), ((0, 0, 7), (0, 1, 2), (1, 1, 5)))
    classes = ClassMetrics({1: 0.8, 2: 1.0}, 0.75, 0.7, 0.72, None, 0.0123)
    category = CategoryRow("wave", 0.8, 0.4, {}, confusion, classes)
    return Evaluation("vimh-x", 14, 0.1, None, {}, (), (category,), None, reliability=tuple(rows))


def test_the_least_covered_quarters_are_shown_in_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    print_reliability(evaluation())
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "cutoff_frequency Hz 90.1 % 81.2 % 80.0 % 1.23" in lines
    assert "level dB 100.0 % - - 0.5" in lines
    assert "wave 100.0 % - - 75.0 % 70.0 % 72.0 % - 1.2 %" in lines


def test_files_hold_the_tables_and_all_confusions(tmp_path):
    write_evaluation(evaluation(), tmp_path)
    text = (tmp_path / "test_results.md").read_text()
    assert "| resonance | Hz | 90.1 % | 81.2 % | 80.0 % | 1.23 |" in text
    assert "| wave | 100.0 % | - | - | 75.0 % | 70.0 % | 72.0 % | - | 1.2 % |" in text
    assert (tmp_path / CONFUSION_FILE).read_bytes() == confusion_csv(evaluation())
    rows = list(csv.reader(io.StringIO(confusion_csv(evaluation()).decode())))
    assert rows[0] == ["parameter", "true", "predicted", "sounds"]
    assert rows[1:] == [["wave", "saw", "saw", "7"], ["wave", "saw", "'=1+1", "2"], ["wave", "'=1+1", "'=1+1", "5"]]
