"""A report is one page in which every name is text. It needs predictions.npz alone, and is written whole or not."""

import base64
import errno
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning import Trainer

from src.data.info import read_spec
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.evaluate import evaluate
from src.evaluation.predictions_file import read_predictions_file
from src.evaluation.reports.write import write_report
from src.evaluation.tables import write_evaluation
from src.models.build import build_model, load_checkpoint
from src.run.record import last_session
from src.utils.errors import UserError
from tests import running
from tests.evaluation.datasets import write_every_kind
from tests.evaluation.reports.made import MARKUP, make_predictions, write_results


def data_of(page):
    """Return what the scripts of a page read."""
    (found,) = re.findall('<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(found)


def array(packed, kind):
    return np.frombuffer(base64.b64decode(packed["base64"]), kind)


@pytest.fixture(scope="module")
def whole(trained, saw, tmp_path_factory):
    output = tmp_path_factory.mktemp("report")
    model, run = load_checkpoint(trained.best), trained.output
    return write_report(run, output, run, last_session(run), model, VIMHDataModule(saw), refine=2)


def test_a_page_holds_the_predictions_the_images_and_the_sounds(whole, trained, saw):
    data, predictions = data_of(whole), read_predictions_file(trained.output / "predictions.npz")
    for name, expected in (("truth", predictions.truth), ("value", predictions.value), ("low", predictions.low_90)):
        found = array(data["predictions"][name], "<f4").reshape(len(predictions.space), -1)
        np.testing.assert_array_equal(found.T, expected)
    assert data["thumbnails"]["url"].startswith("data:image/webp;base64,")
    for example in data["examples"]:
        assert set(example["images"]) == set(example["sounds"]) == {"true", "predicted", "refined"}
    assert ["explained" in example for example in data["examples"]] == [at < 3 for at in range(len(data["examples"]))]
    assert data["curves"]["chosen"] in range(1, 5)
    text = whole.read_text()
    for words in ("note_velocity", "nearest neighbour", "13 sounds", "No leakage", "multiply-adds"):
        assert words in text, words


def test_refined_answers_fit_the_images_better(whole, saw):
    datamodule = VIMHDataModule(saw)
    spec, test = datamodule.spec, datamodule.dataset("test")
    data = data_of(whole)
    values = array(data["predictions"]["value"], "<f4").reshape(len(spec.space), -1)
    closer = 0
    for example in data["examples"]:
        truth = spec.space.denormalize(test.targets()[example["row"]][None])
        errors = [np.abs(spec.space.normalize(np.array(one)[None]) - spec.space.normalize(truth)).sum()
                  for one in (values[:, example["row"]], example["refined"])]  # fmt: skip
        closer += errors[1] < errors[0]
    assert closer > len(data["examples"]) / 2


def test_predictions_alone_make_a_page_that_says_what_is_missing(tmp_path):
    write_results(make_predictions(20), tmp_path)
    page = write_report(tmp_path, tmp_path / "out")
    text = page.read_text()
    assert "No images and no sounds: the dataset of these predictions is not here." in text
    assert data_of(page)["not_explained"] == "No explanations: the checkpoint of these predictions is not here."
    assert text.count("not measured") == 3 and data_of(page)["thumbnails"] is None
    assert {one.name for one in page.parent.iterdir()} == {
        f"report.{kind}" for kind in ("html", "md", "json", "csv", "tex")
    }


def test_names_units_and_categories_are_text(tmp_path):
    directory = tmp_path / "vimh_<b>bold"
    write_every_kind(directory)
    torch.manual_seed(0)
    model, datamodule = build_model(running.plain("train", "model"), read_spec(directory)), VIMHDataModule(directory)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    write_evaluation(evaluate(model, datamodule, trainer), tmp_path)
    text = write_report(tmp_path, tmp_path, model=model, datamodule=datamodule).read_text()
    assert "No sounds: the synth in the dataset's description is missing" in text
    for name in ("&lt;script&gt;alert(1)&lt;/script&gt;", "&lt;i&gt;dB&lt;/i&gt; [red]", "vimh_&lt;b&gt;bold"):
        assert name in text, name
    assert "<i>" not in text and "<b>bold" not in text and text.count("<script") == 2


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("count", [1, 2, 20])
@pytest.mark.parametrize("finite", [True, False])
def test_few_samples_and_a_network_that_diverged(count, finite, tmp_path):
    predictions = make_predictions(count)
    if not finite:
        predictions.value[:, 0] = np.nan
    write_results(predictions, tmp_path)
    data = data_of(write_report(tmp_path, tmp_path))
    assert data["count"] == count and len(data["heads"]) == 4
    (collapse,) = [
        check for check in json.loads((tmp_path / "report.json").read_text())["checks"] if "collapse" in check["name"]
    ]
    assert (collapse["state"] == "fail" and "cutoff" in collapse["why"]) or finite


def test_another_dataset_shows_no_images(trained, saw, tmp_path, caplog):
    predictions = read_predictions_file(trained.output / "predictions.npz")
    about = predictions.about | {"dataset_sha256": {"test": "0"}, "dataset": MARKUP}
    write_results(replace(predictions, about=about), tmp_path)
    page = write_report(tmp_path, tmp_path, datamodule=VIMHDataModule(saw))
    assert data_of(page)["thumbnails"] is None and "is not that of the predictions" in caplog.text


def test_a_full_disk_leaves_the_old_page_and_no_part_of_a_new_one(tmp_path, monkeypatch):
    write_results(make_predictions(20), tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/report.html").write_text("old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, tmp_path / "out")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["report.html"]
    assert (tmp_path / "out/report.html").read_text() == "old"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"num_samples": "3"}', "nonsense"])
def test_damaged_results_are_one_line(tmp_path, content):
    (tmp_path / "test_results.json").write_text(content)
    with pytest.raises(UserError, match=r"test_results.json: .*(run src/eval.py again|src/eval.py write)") as error:
        write_report(tmp_path, tmp_path)
    assert "\n" not in str(error.value)
