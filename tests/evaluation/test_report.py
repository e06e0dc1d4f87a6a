"""The report is one page in which every name is text, and it is there whole or not at all."""

import base64
import errno
import io
import re
from html.parser import HTMLParser

import pytest
import soundfile
import torch
from lightning import Trainer

from src.data.info import read_spec
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation import report
from src.evaluation.evaluate import evaluate
from src.evaluation.report import write_report
from src.models.build import build_model, load_checkpoint
from tests import running
from tests.evaluation.datasets import write_every_kind


class Page(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def reported(model, datamodule, folder):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    evaluation = evaluate(model, datamodule, trainer)
    return evaluation, write_report(evaluation, model, datamodule, folder)


@pytest.fixture(scope="module")
def page(trained, saw, tmp_path_factory):
    _, path = reported(load_checkpoint(trained.best), VIMHDataModule(saw), tmp_path_factory.mktemp("report"))
    return Page(path)


def test_the_page_has_the_table_the_plots_the_effects_and_the_sounds(page):
    for words in ("note_velocity", "95 % interval", "mean baseline", "relative MAE", "+-1-step accuracy"):
        assert words in page.text
    for words in ("floor", "predict the mean", "within a step"):
        assert words not in page.text
    assert "test split, 13 sounds" in page.text and "one step" in page.text
    assert page.tags.count("audio") == 12 and page.tags.count("img") == 1 and "script" not in page.tags


def test_names_units_and_categories_are_text(tmp_path):
    directory = tmp_path / "vimh_<b>bold"
    write_every_kind(directory)
    torch.manual_seed(0)
    model = build_model(running.plain("train", "model"), read_spec(directory))
    evaluation, path = reported(model, VIMHDataModule(directory), tmp_path)
    page = Page(path)
    for name in ("<script>alert(1)</script>", "<i>dB</i> [red]", "gain[/]", "wave :bomb:", "$octave_", "vimh_<b>bold"):
        assert name in page.text, name
    assert not {"script", "i", "b", "audio"} & set(page.tags)
    assert "sounds of each true category" in page.text and "baseline accuracy" in page.text
    assert "No sounds: the synth in the dataset's description is missing" in page.text
    diagonal = evaluation.categories[0].confusion.matrix().tolist()[0]
    assert re.search(r"<td>0<td>" + "<td>".join(map(str, diagonal)), path.read_text())


def test_of_a_long_sound_only_the_beginning_is_part_of_the_page(saw, monkeypatch):
    monkeypatch.setattr(report, "_HEARD", 100)
    spec = read_spec(saw)
    values = spec.space.sample(0, 0, 2)
    players = re.findall('base64,([^"]+)', report._sounds(spec, values, values, ()))
    lengths = [soundfile.info(io.BytesIO(base64.b64decode(player))).frames for player in players]
    assert lengths == [100] * 4


def test_a_full_disk_leaves_the_old_report_and_no_part_of_a_new_one(trained, saw, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        reported(load_checkpoint(trained.best), VIMHDataModule(saw), tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"
