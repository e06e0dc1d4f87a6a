"""A model that segments: trained, tested again from its checkpoint alone, and used on a sound."""

import json

import numpy as np
import pytest
import soundfile

from tests import running

SMALL = (
    *("experiment=segment_notes", "synth=karplus_strong", "trainer=cpu", "dataset.size=160", "trainer.max_epochs=2"),
    *("spectral.height=32", "spectral.width=16", "synth.parameters.note_number.min=60", "data.batch_size=8"),
    "model.network.channels=[4,8]",
)


@pytest.mark.long
def test_a_model_that_segments_from_training_to_the_map_of_a_sound(data_root, saw, tmp_path, capsys, caplog):
    running.run("train", data_root, tmp_path / "run", *SMALL, whole=True)
    shown = capsys.readouterr().out
    assert "2_notes_karplus_strong_160: test split, 16 sounds" in shown and "mean IoU" in shown
    results = json.loads((tmp_path / "run/test_results.json").read_text())
    figures = {figure["name"]: figure for figure in results["maps"]["figures"]}
    assert figures["pixel accuracy"]["value"] == pytest.approx(results["metrics"]["test/map_acc"], abs=1e-6)
    assert figures["mean IoU"]["value"] == pytest.approx(results["metrics"]["test/map_jaccard"], abs=1e-6)
    assert figures["mean Dice"]["value"] == pytest.approx(results["metrics"]["test/map_dice"], abs=1e-6)
    best = tmp_path / "run/checkpoints/best.ckpt"
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={best}", "trainer=cpu", "report=true")
    assert json.loads((tmp_path / "eval/test_results.json").read_text()) == results
    assert "most frequent class" in (tmp_path / "eval/report.html").read_text()
    assert (tmp_path / "eval/maps.png").is_file()

    sound = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 8000)
    running.run("predict", data_root, tmp_path / "out", f"ckpt_path={best}", f"input={tmp_path}/a.wav")
    assert sorted(path.name for path in (tmp_path / "out").glob("a*")) == ["a_map.npz", "a_map.png"]
    with np.load(tmp_path / "out/a_map.npz", allow_pickle=False) as found:
        assert found["classes"].tolist() == ["none", "lower", "higher"]
        assert found["map"].shape == found["image"].shape == (32, 16)
        assert np.array_equal(found["probabilities"].argmax(axis=0), found["map"])
        assert np.abs(found["probabilities"].sum(axis=0) - 1).max() < 1e-5
    line = running.fault(caplog, "predict", data_root, tmp_path / "x", f"ckpt_path={best}", f"input={saw}")
    assert line.startswith("input: a VIMH dataset has no maps")
    line = running.fault(caplog, "eval", data_root, tmp_path / "x", f"ckpt_path={best}", f"data.data_dir={saw}")
    assert line.startswith("data.data_dir: ") and "not trained on a VIMH directory" in line


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("task=parameters", "2_notes_karplus_strong_160: has no labels"),
        ("data=vimh", "vimh-"),
        ("data.notes=99", "data.notes: 99 given"),
        ("model.task.metrics=[iou]", "model.task.metrics: no metric 'iou'"),
        ("model.task.loss=l1", "model.task.loss: DistanceLoss takes no maps"),
        ("monitor=val/map_jaccard", "monitor: val/map_jaccard given, but the lowest value is kept as the best"),
    ],
)
def test_what_does_not_fit_is_one_line_before_anything_is_rendered(words, cause, data_root, tmp_path, caplog):
    assert running.fault(caplog, "train", data_root, tmp_path, *SMALL, words).startswith(cause)


def test_a_network_without_features_of_pixels_is_one_line(data_root, tmp_path, caplog):
    words = ("data=notes", "task=segment", "model=cnn_micro", "synth=karplus_strong", "trainer=cpu")
    line = running.fault(caplog, "train", data_root, tmp_path, *words)
    assert line.startswith("model.network: SimpleCNN returns features of the image, but SegmentTask needs")
