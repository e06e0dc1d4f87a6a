"""`src/report.py` finds the results of a checkpoint, or the checkpoint of results, and refuses others in one line."""

import json

import numpy as np
import pytest

from src.evaluation.reports.write import PAGE_FILE
from tests import running


def test_a_checkpoint_of_a_run(trained, data_root, saw, tmp_path, caplog):
    running.run("report", data_root, tmp_path, f"ckpt_path={trained.best}", "refine=0")
    page = (tmp_path / PAGE_FILE).read_text()
    assert "test split, 13 sounds" in page and "Learning curves" in page and "refined" in page
    (row, *_) = json.loads((tmp_path / "report.json").read_text())["heads"]
    assert row["error"] == pytest.approx(trained.results["rows"][0]["mae"], rel=1e-5)
    assert row["baseline"] == pytest.approx(trained.results["rows"][0]["baseline"], rel=1e-5)


def test_results_name_their_checkpoint_and_a_missing_dataset_is_rendered(trained, tmp_path, caplog):
    running.run("report", tmp_path / "none", tmp_path, f"results={trained.output}", "refine=0")
    assert "does not exist, so the report shows no images of it" in caplog.text
    page = (tmp_path / PAGE_FILE).read_text()
    assert '"sounds":{"true":' in page and '"thumbnails":null' in page and '"images":{"true":' in page


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ([], "ckpt_path: not given"),
        (["refine=true", "results=x"], "refine: True given; give a number of steps"),
        (["refine=-1", "results=x"], "refine: -1 given; give a number of steps"),
        (["results=/none"], "/none/predictions.npz: no such file"),
        (["ckpt_path=none.ckpt"], "ckpt_path: none.ckpt does not exist"),
    ],
)
def test_a_mistake_is_one_line(given, start, tmp_path, caplog):
    assert running.fault(caplog, "report", tmp_path, tmp_path, *given).startswith(start)


def test_results_of_another_checkpoint_are_refused(trained, data_root, tmp_path, caplog):
    other = tmp_path / "checkpoints/other.ckpt"
    other.parent.mkdir()
    other.write_bytes(trained.best.read_bytes() + b" ")
    given = (f"ckpt_path={other}", f"results={trained.output}")
    line = running.fault(caplog, "report", data_root, tmp_path, *given)
    assert "predictions.npz: is of another checkpoint; run src/eval.py ckpt_path=" in line
    line = running.fault(caplog, "report", data_root, tmp_path, f"ckpt_path={other}")
    assert "no such file; run src/eval.py" in line


@pytest.mark.long
def test_a_page_is_the_same_when_it_is_written_again(trained, data_root, saw, tmp_path):
    pages = []
    for name in ("one", "two"):
        running.run("report", data_root, tmp_path / name, f"ckpt_path={trained.best}")
        pages.append(np.frombuffer((tmp_path / name / PAGE_FILE).read_bytes(), np.uint8))
    np.testing.assert_array_equal(*pages)
