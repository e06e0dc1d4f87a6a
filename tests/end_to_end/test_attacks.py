"""What an attacker sends to somebody who predicts, tests, looks at a dataset, or trains."""

import json
import logging
import shutil
import sys

import numpy as np
import pytest
import soundfile
import torch

from src.data.info import INFO_FILE
from src.utils.files import write_atomic
from tests import running
from tests.data.references import edit_info
from tests.mutation.guard import CANARY, guarded

VOICE = f"{CANARY}.VOICE"
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def evil(trained, tmp_path):
    """Write a changed checkpoint of the run."""

    def write(change, source=trained.best):
        checkpoint = torch.load(source, weights_only=True)
        change(checkpoint)
        torch.save(checkpoint, tmp_path / "evil.ckpt")
        return tmp_path / "evil.ckpt"

    return write


@pytest.fixture
def sound(tmp_path):
    """A decaying tone, which every model can hear."""
    (tmp_path / "in").mkdir()
    time = np.arange(8000) / 8000
    soundfile.write(tmp_path / "in/one.wav", 0.5 * np.exp(-4 * time) * np.sin(2 * np.pi * 440 * time), 8000)
    return tmp_path / "in/one.wav"


def name_voice(checkpoint, voice=VOICE):
    checkpoint["dataset_spec"]["generator"]["config"]["synth"]["voice"] = voice


def with_voice(saw, tmp_path, voice=VOICE):
    """Return a copy of a dataset whose description names another voice."""
    directory = tmp_path / "data" / saw.name
    shutil.copytree(saw, directory)
    info = json.loads((directory / INFO_FILE).read_text())
    info["generator"]["config"]["synth"]["voice"] = voice
    edit_info(directory, generator=info["generator"])
    return directory


@pytest.mark.parametrize("voice", [VOICE, "os.system", "antigravity.fly"])
def test_predict_renders_with_no_voice_of_the_checkpoint(evil, sound, tmp_path, caplog, voice):
    path = evil(lambda checkpoint: name_voice(checkpoint, voice))
    with guarded(tmp_path), caplog.at_level(logging.WARNING):
        running.run("predict", tmp_path, tmp_path / "out", f"ckpt_path={path}", f"input={sound.parent}")
    assert f"its voice '{voice}' is not built in" in caplog.text
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "one_input.wav",
        "predictions.csv",
        "predictions.json",
    ]


def test_predict_of_a_dataset_renders_nothing(trained, saw, tmp_path):
    directory = with_voice(saw, tmp_path)
    with guarded(tmp_path):
        running.run("predict", tmp_path, tmp_path / "out", f"ckpt_path={trained.best}", f"input={directory}")


def test_eval_makes_no_dataset_with_the_voice_of_the_checkpoint(evil, tmp_path, caplog):
    with guarded(tmp_path):
        message = running.fault(caplog, "eval", tmp_path / "none", tmp_path / "out", f"ckpt_path={evil(name_voice)}")
    assert f"its voice '{VOICE}' is not built in" in message and not (tmp_path / "none").exists()


def test_a_report_renders_with_no_voice_of_the_dataset_or_the_checkpoint(evil, saw, tmp_path):
    directory = with_voice(saw, tmp_path)
    given = (f"ckpt_path={evil(name_voice)}", f"data.data_dir={directory}", "report=true")
    with guarded(tmp_path):
        running.run("eval", tmp_path, tmp_path / "out", *given)
    page = (tmp_path / "out/report.html").read_text()
    assert "<audio" not in page and "No sounds" in page


@pytest.mark.long
def test_the_page_of_a_dataset_renders_with_no_voice(saw, tmp_path, monkeypatch):
    import viz.show_dataset as show

    monkeypatch.setattr(show, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["show_dataset.py", str(with_voice(saw, tmp_path))])
    with guarded(tmp_path):
        show.main()
    (page,) = (tmp_path / "logs").glob("*.html")
    assert "No sounds: " in page.read_text() and "is not built in" in page.read_text()


def test_training_on_a_dataset_imports_no_voice_of_it(saw, tmp_path):
    directory = with_voice(saw, tmp_path)
    with guarded(tmp_path) as seen:
        running.run("train", tmp_path, tmp_path / "out", f"data.data_dir={directory}", "debug=fdr", "logger=none")
        seen[:] = [one for one in seen if not one.startswith("subprocess.Popen ('git'")]  # for the record of the run


@pytest.mark.parametrize("name", ["../../evil", "/tmp/nsmt_evil", "a/b", "..", "a\nb", "x:y", "s3://bucket/x"])
def test_eval_writes_no_dataset_outside_of_its_directory(evil, tmp_path, caplog, name):
    path = evil(lambda checkpoint: checkpoint["dataset_spec"].update(name=name))
    (tmp_path / "data/deep/er").mkdir(parents=True)
    with guarded(tmp_path / "out"):
        message = running.fault(caplog, "eval", tmp_path / "data/deep/er", tmp_path / "out", f"ckpt_path={path}")
    assert "dataset_spec.name" in message


def test_eval_makes_no_huge_dataset(evil, tmp_path, caplog):
    def enlarge(checkpoint):
        checkpoint["dataset_spec"]["generator"]["config"]["dataset"]["size"] = 2**40

    with guarded(tmp_path):
        message = running.fault(caplog, "eval", tmp_path / "none", tmp_path / "out", f"ckpt_path={evil(enlarge)}")
    assert "make the dataset with generate_vimh.py" in message and not (tmp_path / "none").exists()


def test_names_and_units_reach_files_and_pages_as_text(evil, saw, tmp_path):
    directory = tmp_path / "data" / saw.name
    shutil.copytree(saw, directory)
    old, new = "note_velocity", f"{MARKUP}/../x"

    def rename(value):
        text = json.dumps(value).replace(old, json.dumps(new)[1:-1])
        return json.loads(text)

    info = directory / INFO_FILE
    write_atomic(info, json.dumps(rename(json.loads(info.read_text())) | {"generator": None}).encode())

    def change(checkpoint):
        checkpoint["dataset_spec"] = rename(checkpoint["dataset_spec"]) | {"generator": None, "spectral": None}
        checkpoint["dataset_spec"]["parameters"][0]["unit"] = MARKUP

    path = evil(change)
    given = (f"ckpt_path={path}", f"data.data_dir={directory}")
    with guarded(tmp_path):
        running.run("eval", tmp_path, tmp_path / "eval", *given, "report=true")
        running.run("predict", tmp_path, tmp_path / "predict", *given)
    page = (tmp_path / "eval/report.html").read_text()
    assert page.count("<script") == 2 and "&lt;script&gt;" in page  # the data and the scripts of the page
    assert new in json.loads((tmp_path / "predict/predictions.json").read_text())["predictions"]["test 0"]
    assert {one.name for one in tmp_path.iterdir()} == {"data", "evil.ckpt", "eval", "predict"}


# going on from a stranger's checkpoint


def saved_by(callback, **values):
    def change(checkpoint):
        for key, state in checkpoint["callbacks"].items():
            if key.startswith(callback):
                state.update(values)

    return change


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("best_model_path", "local:///{victim}"),
        ("last_model_path", "{victim}/notes.txt"),
        ("best_k_models", "{out}/checkpoints/../../victim/best.ckpt"),
    ],
)
def test_no_path_of_a_callback_is_read_replaced_or_deleted(evil, trained, saw, tmp_path, caplog, key, target):
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("best.ckpt", "notes.txt"):
        (victim / name).write_text("mine")
    path = target.format(victim=victim, out=tmp_path / "out")
    value = {path: torch.tensor(-1.0)} if key == "best_k_models" else path
    source = evil(saved_by("ResumableCheckpoint", **{key: value}), trained.output / "checkpoints/last.ckpt")
    given = (f"ckpt_path={source}", f"data.data_dir={saw}", "trainer.max_epochs=5", "logger=none", "test=false")
    message = running.fault(caplog, "train", tmp_path, tmp_path / "out", *given)
    assert message.startswith("ckpt_path: ") and message.isprintable()
    assert {one.name: one.read_text() for one in victim.iterdir()} == {"best.ckpt": "mine", "notes.txt": "mine"}
