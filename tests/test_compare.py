"""`python src/compare.py`: two runs become one page, quickly and without torch, and faults are one line."""

import json
import sys

import numpy as np
import pytest

from src import compare
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
    assert f"{out}/comparison.json" in done.stdout
    assert "Not compared, since untested" in done.stdout
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
