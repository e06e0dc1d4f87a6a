"""`python src/compare.py`: two runs become one page, quickly and without torch, and faults are one line."""

import json
import sys

import numpy as np
import pytest

from src import compare
from src.data.info import INFO_FILE
from src.evaluation.latency import latencies_ms
from src.evaluation.predictions_file import write_predictions_file
from src.models.build import load_checkpoint
from src.utils.errors import UserError
from tests import running
from tests.cli.test_entry import HEAVY
from tests.evaluation.reports.predictions import predicted
from tests.run.test_methods import make_tested
from tests.run.test_table import make_run, session


def test_runs_are_compared_and_saved_without_torch(tmp_path):
    for seed in (1, 2, 3):
        for width in (8, 9):
            make_tested(tmp_path / f"runs/{width}_{seed}", seed, width, [f"model=cnn_{width}"])
    make_run(tmp_path / "runs/untested", session(outcome="failed: no memory"))
    out = tmp_path / "out"
    words = [str(tmp_path / "runs"), "--baseline", "cnn_9", "--save", str(out)]
    done = running.command("src/compare.py", *words, flags=("-X", "importtime"))
    assert done.returncode == 0, done.stderr
    assert "cnn_8, compared with cnn_9" in done.stdout and "other sounds and other seeds" in done.stdout
    assert "all results: comparison.json, comparison.md" in done.stdout
    assert " has the smaller error" in " ".join(done.stdout.split())
    assert "Not compared, since untested" in done.stdout and f"page: {out}/comparison.html" in done.stdout
    assert "These are" not in (html := (out / "comparison.html").read_text()) and "cnn_8" in html
    page = json.loads((out / "comparison.json").read_text())
    assert page["baseline"] == "cnn_9" and page["methods"]["cnn_8"]["seeds"] == [1, 2, 3]
    assert page["differences"][0]["difference"] == 0  # errors depend on the seed alone
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "numpy" in imported and not imported.intersection({*HEAVY} - {"scipy"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("first", "other"),
            r"other/\S+ does not pair with \S+: it predicts p_0, not p_0, p_1",
        ),
        (("first",), "1 tested run given; give at least two"),
        (("first", "nowhere"), "no such file"),
        (("first", "first", "--baseline", "c"), "neither one of the runs nor a method"),
        (("first", "first", "--latency"), "does not exist"),
        (("first", "first", "--data", "first"), "--data: first holds no vimh_dataset_info.json"),
    ],
)
def test_faults_are_one_line(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    for name, parameters in (("first", 2), ("other", 1)):
        write_predictions_file(predicted(np.zeros((5, parameters))), tmp_path / name)
    monkeypatch.setattr(sys, "argv", ["compare.py", *words])
    with pytest.raises(UserError, match=message):
        compare.main()


def test_a_network_takes_some_time_for_an_image(trained):
    model = load_checkpoint(trained.best)
    taken = latencies_ms({"a": model, "b": model})
    assert [*taken] == ["a", "b"] and all(0 < milliseconds < 1000 for milliseconds in taken.values())


def test_the_page_is_written_below_logs_and_opened_if_asked(tmp_path, monkeypatch):
    for name, seed in (("first", 1), ("other", 2)):
        directory = make_tested(tmp_path / name, seed, overrides=[f"name={name}"], name=name).parent
        (directory / "csv").mkdir()
        (directory / "csv/metrics.csv").write_text("epoch,val/nmae\n0,0.5\n1,0.25\n")
    opened = []
    monkeypatch.setattr(compare, "ROOT", tmp_path)
    monkeypatch.setattr("webbrowser.open", opened.append)
    for words, times in (([], 0), (["--open"], 1)):
        monkeypatch.setattr(sys, "argv", ["compare.py", str(tmp_path / "first"), str(tmp_path / "other"), *words])
        compare.main()
        assert len(opened) == times
    (page,) = {path.resolve() for path in tmp_path.glob("logs/compare/*/comparison.html") if path.as_uri() in opened}
    assert "Learning curves" in page.read_text() and (page.parent / "comparison.json").is_file()


def test_the_dataset_is_one_of_data(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "ROOT", tmp_path)
    (tmp_path / "data/mine_2").mkdir(parents=True)
    (tmp_path / "data/mine_2" / INFO_FILE).touch()
    for name, expected in (("mine_2", tmp_path / "data/mine_2"), ("../mine_2", tmp_path / "data/mine_2"), ("..", None)):
        assert compare.dataset_of({"a": [predicted(np.zeros((5, 1)), dataset=name)]}) == expected
    assert compare.dataset_of({"a": [predicted(np.zeros((5, 1)), dataset="nowhere")]}) is None
