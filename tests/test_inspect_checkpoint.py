"""`python src/inspect_checkpoint.py`: what a file says of itself, in 80 columns, and how fast it predicts."""

import logging
import sys

import numpy as np
import pytest
import torch

from src import inspect_checkpoint
from src.cli.script import run_script
from src.models.build import load_checkpoint
from src.spectral.audio_file import write_clip
from tests import running

PREVIOUS = running.ROOT / "tests/previous/run/checkpoints/last.ckpt"


@pytest.fixture
def inspected(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["inspect_checkpoint.py", *map(str, arguments)])
        monkeypatch.setattr(logging, "basicConfig", lambda **settings: None)
        run_script(inspect_checkpoint.main)
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(inspected, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit):
            inspected(*arguments)
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


def changed(path, directory, **values):
    checkpoint = torch.load(path, weights_only=True) | values
    torch.save(checkpoint, directory / "changed.ckpt")
    return directory / "changed.ckpt"


def words(text):
    return " ".join(text.split())


def test_a_checkpoint_says_what_it_is(trained, inspected):
    text = inspected(trained.best)
    model, checkpoint = load_checkpoint(trained.best), torch.load(trained.best, weights_only=True)
    assert max(map(len, text.splitlines()[1:])) <= 80  # a path is never broken
    found = words(text)
    weights = sum(weight.numel() for weight in model.parameters())
    for part in (
        *(f"weights {weights:,}, of which", "network SimpleCNN", "network.channels [8, 16, 16]", "optimizer AdamW"),
        *(f"name {model.spec.name}", "images 1 x 32 x 32", "train 102 samples", "simple_saw, 1 s at 8000 Hz"),
        *(f"SHA-256 train {model.spec.sha256['train']}", "front end stft: n_fft 80", "fixed note_number 43.35"),
        *(f"val/nmae {checkpoint['metrics']['val/nmae']:.4g}", f"commit {checkpoint['run']['commit'] or 'unknown'}"),
        *("note_velocity 64..127 by 7", "regression", "calibration: fitted to 13 validation sounds", "seed 0"),
        *("run outcome finished", "versions python", f"trained {checkpoint['epoch'] + 1} epochs"),
    ):
        assert part in found, part
    error = checkpoint["metrics"]["val/log10_decay_time_mae"]
    assert f"log10_decay_time -2..0.3 by 0.1 log10 s regression 1 {error:.4g}" in found


def test_best_is_that_of_the_newest_run(trained, inspected, tmp_path):
    checkpoints = tmp_path / "train/runs/one/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "best.ckpt").write_bytes(trained.best.read_bytes())
    text = inspected("--logs", tmp_path)
    assert text.startswith(f"{checkpoints}/best.ckpt\n") and "run outcome" not in text  # it has no record


def test_a_file_of_an_older_version_is_shown(inspected):
    found = words(inspected(PREVIOUS))
    assert "note_velocity 64..127 by" in found and "classification" in found and "focal" in found
    assert "range: the whole range of the parameter, since the sounds are too few" in found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": {"val/nmae": torch.zeros(3)}}, "holds metrics.val/nmae: a Tensor given; a text, a number"),
        ({"metrics": [1.0]}, "holds metrics: a list given; a dict is needed"),
        ({"run": {"commit": "\x1b[2J"}}, "holds run.commit: '\\x1b[2J' given; printable text"),
        ({"run": "mine"}, "holds run: a str given; a dict is needed"),
        ({"epoch": ["x"] * 6000}, "holds epoch: more than 5000 values"),
        ({"dataset_spec": {}}, "holds dataset_spec"),
        ({"model_config": {"heads": {"default": 3}}}, "holds model_config.heads.default: 3 given; a dict is needed"),
        ({"model_config": {"heads": {"default": {"kind": "magic"}}}}, "model.heads.default: kind"),
    ],
    ids=["tensor", "list", "control", "text", "large", "spec", "number", "head"],
)
def test_odd_contents_are_one_line(change, said, tmp_path, refused):
    assert said in refused(changed(PREVIOUS, tmp_path, **change))


def test_missing_and_damaged_files_are_one_line(tmp_path, refused):
    assert (
        refused(tmp_path / "none.ckpt")
        == f"ckpt_path: {tmp_path}/none.ckpt does not exist; give a .ckpt file, best, or last"
    )
    (tmp_path / "cut.ckpt").write_bytes(PREVIOUS.read_bytes()[:5000])
    assert "is not a readable checkpoint" in refused(tmp_path / "cut.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    assert "lacks data_settings, dataset_spec, model_config" in refused(tmp_path / "other.ckpt")
    assert "no run in" in refused("best", "--logs", tmp_path)


@pytest.mark.parametrize("name", ["epoch", "metrics", "run"])
def test_a_file_without_one_of_the_parts_is_shown_without_it(name, tmp_path, inspected):
    checkpoint = torch.load(PREVIOUS, weights_only=True)
    del checkpoint[name]
    torch.save(checkpoint, tmp_path / "less.ckpt")
    assert "note_velocity" in inspected(tmp_path / "less.ckpt")


def test_a_calibration_of_another_shape_is_left_out(tmp_path, inspected):
    state = torch.load(PREVIOUS, weights_only=True)["state_dict"]
    name = "heads.calibration.factors"
    text = inspected(changed(PREVIOUS, tmp_path, state_dict=state | {name: torch.zeros(7, 2)}))
    assert "calibration:" not in text and "note_velocity" in text


def test_time_predicts_one_sound(trained, inspected, tmp_path):
    found = words(inspected(trained.best, "--time"))
    assert "One prediction: a sound from the middle of the ranges" in found
    times = [float(found.split(f"{step} ")[1].split()[0]) for step in ("front end", "network", "heads", "all")]
    assert min(times) > 0 and sum(times[:3]) == pytest.approx(times[3], abs=0.002)
    assert "all values are finite and in range" in found
    write_clip(tmp_path / "one.wav", 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32), 8000)
    assert f"{tmp_path}/one.wav" in inspected(trained.best, "--time", "--sound", tmp_path / "one.wav")


def test_time_without_a_synth_predicts_silence(tmp_path, inspected):
    spec = torch.load(PREVIOUS, weights_only=True)["dataset_spec"] | {"generator": None}
    assert "One prediction: silence" in inspected(changed(PREVIOUS, tmp_path, dataset_spec=spec), "--time")
    plain = spec | {"spectral": None}
    assert "One prediction: a black image" in inspected(changed(PREVIOUS, tmp_path, dataset_spec=plain), "--time")
