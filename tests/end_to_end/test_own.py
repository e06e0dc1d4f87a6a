"""A user's own data and task are trained, tested and tested again as docs/your_task.md says."""

import json
import re

import numpy as np
import pytest
import torch

from src import api
from src.data.reopen import reopened
from src.models.build import load_checkpoint
from src.utils.errors import UserError
from tests import running
from tests.own import LevelsDataModule

DATA = ("data=digits", "data._target_=tests.own.LevelsDataModule", "model.network.strides=[1,2,1]")
TRUST = "trust=[tests.own]"


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Four epochs on the levels, with the default task."""
    output = tmp_path_factory.mktemp("own")
    running.run("train", output / "none", output, *DATA, "+data.scale=3", "trainer.max_epochs=4")
    return output


def results_of(output):
    return json.loads((output / "test_results.json").read_text())


def test_own_data_are_trained_and_tested(learned):
    results = results_of(learned)
    assert (results["dataset"], results["num_samples"], results["samples"]) == ("levels", 48, "images")
    assert results["rows"][0]["name"] == "level" and results["nmae"] < 0.2
    checkpoint = torch.load(learned / "checkpoints/best.ckpt", weights_only=True)
    assert checkpoint["data_settings"] == {"format": "tests.own.LevelsDataModule", "scale": 3}


def test_a_checkpoint_opens_trusted_data_again(learned, tmp_path):
    best = learned / "checkpoints/best.ckpt"
    running.run("eval", tmp_path, tmp_path / "out", f"ckpt_path={best}", "trainer=cpu", TRUST)
    assert results_of(tmp_path / "out") == results_of(learned)
    assert json.loads(api.evaluate(best, trust=["tests.own"]).to_json())["rows"] == results_of(learned)["rows"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((), "'tests.own.LevelsDataModule' .*trust="),
        ((TRUST, "data.data_dir=."), r"^data.data_dir: \. given, but this model was not trained on a VIMH directory"),
    ],
)
def test_a_checkpoint_names_what_it_cannot_open(learned, tmp_path, caplog, words, cause):
    line = running.fault(caplog, "eval", tmp_path, tmp_path, f"ckpt_path={learned}/checkpoints/best.ckpt", *words)
    assert re.search(cause, line)


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"format": "tests.own.Levels"}, "no BatchDataModule"),
        ({"format": "tests.own.LevelsDataModule", "size": 3}, "unexpected keyword argument 'size'"),
        ({"format": "tests.own.nothing"}, "tests.own.nothing"),
        ({"format": "os.system"}, "os.system"),
    ],
)
def test_settings_that_build_no_datamodule_are_one_line(settings, cause):
    with pytest.raises(UserError, match=cause):
        reopened(settings, ["tests.own"])


def test_settings_that_no_checkpoint_may_hold_are_told_before_training(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(LevelsDataModule, "checkpoint_settings", lambda self: {"format": "a.B", "path": tmp_path})
    line = running.fault(caplog, "train", tmp_path, tmp_path / "run", *DATA)
    assert line.startswith("data_settings.path: a PosixPath given")
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.fixture(scope="module")
def own_task(tmp_path_factory):
    """Four epochs of a task that predicts the mean of each image, and what the terminal showed."""
    output = tmp_path_factory.mktemp("own_task")
    words = (*DATA, "model.task._target_=tests.own.MeanTask", "monitor=val/mean_mae", "trainer.max_epochs=4")
    score = running.run("train", output / "none", output, *words, "callbacks=[default,tensorboard_figures]")
    return output, score


def test_a_task_of_ones_own_reports_the_metrics_that_it_logs(own_task, tmp_path, capsys):
    output, score = own_task
    results, best = results_of(output), output / "checkpoints/best.ckpt"
    model, test = load_checkpoint(best, ["tests.own"]), LevelsDataModule().dataset("test")
    image = test.__getitems__(range(len(test)))["image"]
    with torch.inference_mode():
        error = np.abs(model.values(image)[:, 0].numpy() - image.mean(dim=(1, 2, 3)).numpy())
    assert results["metrics"]["test/mean_mae"] == pytest.approx(error.mean(), rel=1e-4) and score < 0.2
    assert (results["rows"], results["nmae"], results["reconstruction_error"]) == ([], None, None)
    running.run("eval", tmp_path, tmp_path, f"ckpt_path={best}", "trainer=cpu", "report=true", TRUST)
    assert results_of(tmp_path)["metrics"] == pytest.approx(results["metrics"])
    texts = [capsys.readouterr().out, *((tmp_path / name).read_text() for name in ("report.html", "test_results.md"))]
    for text in texts:
        assert "mean_mae" in text and f"{results['metrics']['test/mean_mae']:.4g}" in text


def test_a_task_of_ones_own_predicts_no_parameters(own_task, tmp_path, caplog):
    best = own_task[0] / "checkpoints/best.ckpt"
    line = running.fault(caplog, "eval", tmp_path, tmp_path, f"ckpt_path={best}", "refine=3", TRUST)
    assert line == "refine: given, but this model predicts no parameters; give refine=0"
