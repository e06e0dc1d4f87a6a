"""The best, the median and the worst sound: files that say and play what was compared."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from src.data.generate import generate
from src.data.origin import source_of
from src.data.recipe import parse_recipe
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation import audio
from src.evaluation.audio import audio_source, compare_audio
from src.evaluation.audio_samples import describe, ranked, spectrogram_figure
from src.evaluation.metrics.table import METRICS
from src.evaluation.split_outputs import predict_split
from src.models.build import build_model
from tests import running
from tests.evaluation.voices import RECIPE

CHOICES = [f"heads={path.stem}" for path in sorted((running.CONFIGS / "heads").glob("*.yaml"))]
CHOICES += [f"model={name}" for name in ("ast_micro", "cnn_micro", "convnext_18k", "densenet_68k", "efficientnet_66k")]
CHOICES += [f"model={name}" for name in ("frames_23k", "hybrid_tiny", "mlp_68k", "vit_micro")]


@pytest.fixture(scope="module")
def organ(tmp_path_factory):
    recipe = {**running.recipe("dataset.size=40"), "synth": RECIPE}
    directory, _ = generate(parse_recipe(recipe), tmp_path_factory.mktemp("organ"))
    return VIMHDataModule(directory, trust=["tests.evaluation.voices"])


@pytest.fixture(scope="module")
def comparison(organ):
    """Predictions are 0, 1, 2, ... dB too quiet."""
    source = source_of(organ.spec, organ.trust)
    truth = np.load(organ.data_dir / "test_params.npy").astype(np.float64)
    guess = truth.copy()
    guess[:, 0] -= np.arange(len(truth))
    return compare_audio(organ, source, {"predicted": guess}, None)


def test_sounds_are_ranked_by_the_error_of_the_prediction(comparison):
    metrics = {"predicted": {"lsd": np.array([3.0, 1.0, 2.0, 9.0, 4.0])}, "image limit": {"lsd": np.arange(5.0)}}
    assert ranked(replace(comparison, metrics=metrics)) == {"best": 1, "median": 0, "worst": 3}


def test_categories_and_steps_keep_their_value_at_the_image_limit(comparison):
    assert np.array_equal(comparison.candidates["image limit"][:, 1:], comparison.truth[:, 1:])


def test_the_level_error_is_the_number_of_decibels(comparison):
    expected = np.arange(len(comparison.truth))
    assert comparison.metrics["predicted"]["level_error"] == pytest.approx(expected, abs=1e-4)


@pytest.fixture(scope="module")
def written(organ, tmp_path_factory):
    """What the test command writes, of a model of every kind of parameter and a voice that is not built in."""
    root = tmp_path_factory.mktemp("written")
    given = (f"data.data_dir={organ.data_dir}", "trust=[tests.evaluation.voices]")
    running.run("train", root, root / "train", *given, "trainer.max_epochs=1", "logger=none", "test=false")
    best = f"ckpt_path={root / 'train/checkpoints/best.ckpt'}"
    running.run("eval", root, root / "eval", best, *given, "audio=true", "metrics.sample_rate=16000")
    return root / "eval"


@pytest.mark.long
def test_the_test_command_compares_all_kinds_of_parameters_at_the_given_rate(written):
    content = json.loads((written / "audio_results.json").read_text())
    assert (content["sample_rate"], content["rendered_rate"]) == (16000, 8000)
    assert content["rows"][0]["name"] == "predicted"
    assert "8,000 Hz resampled to 16,000 Hz" in (written / "audio_results.md").read_text()


def test_each_sound_has_wavs_a_picture_and_its_figures(written, organ):
    names = {f"{rank}{end}" for rank in ("best", "median", "worst") for end in (".json", ".png", "_true.wav")}
    names |= {f"{rank}_{name}.wav" for rank in ("best", "median", "worst") for name in ("predicted", "image_limit")}
    assert {path.name for path in (written / "sounds").iterdir()} == names
    content = json.loads((written / "sounds/worst.json").read_text())
    for name in ("true", "predicted"):
        level, wave, octave = (parameter["values"][name] for parameter in content["parameters"])
        values = np.array([[level, ("sine", "square").index(wave), octave]])
        expected = source_of(organ.spec, organ.trust).sounds(values)[0]
        heard, rate = soundfile.read(written / f"sounds/worst_{name}.wav")
        assert rate == 8000 and heard == pytest.approx(expected, abs=2**-14)
    assert content["metrics"]["predicted"]["lsd"] > content["metrics"]["image limit"]["lsd"]


def test_what_has_no_pitch_has_none_in_the_file(comparison):
    comparison.metrics["predicted"]["f0_error"][0] = np.nan
    assert describe(comparison, 0)["metrics"]["predicted"]["f0_error"] is None


def test_a_picture_has_a_spectrogram_of_each_sound_and_a_difference_of_each_prediction():
    time = np.arange(4000) / 8000
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    figure = spectrogram_figure({"true": tone, "predicted": tone / 2}, 8000, "worst: $5")
    true, difference = figure.axes[0], figure.axes[3]
    levels = true.images[0].get_array()
    assert levels.max() == 0
    row = np.unravel_index(levels.argmax(), levels.shape)[0]
    assert row == round(1000 / 8000 * 368)  # n_fft is 46 ms
    assert difference.images[0].get_array()[row].mean() == pytest.approx(-6.02, abs=0.01)
    assert difference.get_title() == "predicted - true"


@pytest.mark.slow
@pytest.mark.parametrize("choice", CHOICES)
def test_every_head_and_backbone_can_be_heard(organ, choice, monkeypatch):
    monkeypatch.setattr(audio, "METRICS", {"level_error": METRICS["level_error"]})
    torch.manual_seed(0)
    model = build_model(running.plain("train", "model", choice), organ.spec)
    source = audio_source(model, organ, None)
    estimates, _ = predict_split(model, organ.dataset("test"))
    results = compare_audio(organ, source, {"predicted": estimates.values}, None).results
    assert results.rows[0].metrics["level_error"].clips == results.num_clips
