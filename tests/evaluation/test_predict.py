"""Predictions from sound files: a WAV of a dataset's own clip gives the dataset's own prediction."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from src.data.dataset import images_to_float
from src.data.generate import generate
from src.data.info import read_spec
from src.data.recipe import parse_recipe
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.predict import (
    Prediction,
    make_front_end,
    predict_dataset,
    predict_files,
    sound_files,
    write_predictions,
)
from src.evaluation.rerender import rendering_source
from src.models.build import build_model, load_checkpoint
from src.utils.errors import UserError
from tests import running


def clips_of(model, directory, count):
    """Render the first test sounds of a dataset, (count, T)."""
    return rendering_source(model.spec).synth.render(np.load(directory / "test_params.npy")[:count]).T


def write_clips(folder, clips, rate=8000):
    folder.mkdir(exist_ok=True)
    for at, clip in enumerate(clips):
        soundfile.write(folder / f"{at:02d}.wav", clip, rate, subtype="FLOAT")
    return sound_files(folder)


@pytest.mark.parametrize(
    "spectral",
    [
        (),
        ("spectral=mel_32x32",),
        ("spectral.image_scaling=per_sample",),
        ("spectral.channels=[magnitude,temporal_envelope,stft_64]", "spectral.pre_emphasis=0.9"),
    ],
    ids=["default", "mel", "per_sample", "channels"],
)
def test_a_wav_gives_the_values_of_the_dataset(tmp_path, spectral):
    recipe = parse_recipe(running.recipe("dataset.size=40", *spectral))
    directory, _ = generate(recipe, tmp_path)
    spec = read_spec(directory)
    torch.manual_seed(0)
    model = build_model(running.plain("train", "model") | {"auxiliary": "concat"}, spec).eval()
    clips = clips_of(model, directory, 4)
    predictions, faults = predict_files(model, write_clips(tmp_path / "wavs", clips), None, None)
    assert not faults
    expected = np.stack([one.values for one in predict_dataset(model, directory)[:4]])
    found = np.stack([one.values for one in predictions])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(found, axis=0).min() > 1e-3  # else this would compare constants
    image, _ = make_front_end(spec)(torch.from_numpy(clips))
    stored = VIMHDataset(directory, "test").__getitems__(range(4))["image"]
    assert (make_front_end(spec).to_bytes(image).int() - stored.int()).abs().max() <= 1  # halves may round either way


def test_a_datasets_test_split_is_predicted_in_its_order(trained, saw):
    model = load_checkpoint(trained.best)
    predictions = predict_dataset(model, saw)
    assert [one.name for one in predictions] == [f"test {row}" for row in range(13)]
    sample = VIMHDataset(saw, "test")[7]
    with torch.no_grad():
        alone = model.values(images_to_float(sample["image"][None]))[0]
        estimates = model.predict(images_to_float(sample["image"][None]))
    np.testing.assert_allclose(predictions[7].values, alone, rtol=1e-5)
    np.testing.assert_allclose(predictions[7].uncertainties, estimates.uncertainties[0], rtol=1e-5)
    np.testing.assert_allclose(predictions[7].low_90, estimates.low_90[0], rtol=1e-5)
    np.testing.assert_allclose(predictions[7].high_90, estimates.high_90[0], rtol=1e-5)


def test_files_that_cannot_be_read_are_told_and_the_rest_predicted(trained, saw, tmp_path):
    model = load_checkpoint(trained.best)
    paths = write_clips(tmp_path, clips_of(model, saw, 3))
    paths[1].write_bytes(b"")
    predictions, faults = predict_files(model, paths, None, None)
    assert [one.name for one in predictions] == ["00.wav", "02.wav"]
    remedy = "give a sound file, a folder of them, or a VIMH directory"
    assert faults == [f"{paths[1]}: 0 bytes; {remedy}"]


def test_input_and_prediction_are_written_as_sound(trained, saw, tmp_path):
    model = load_checkpoint(trained.best)
    clips = clips_of(model, saw, 1)
    (prediction,), _ = predict_files(model, write_clips(tmp_path / "in", clips), None, tmp_path)
    heard, rate = soundfile.read(tmp_path / "00_input.wav")
    said, _ = soundfile.read(tmp_path / "00_predicted.wav")
    again = rendering_source(model.spec).synth.render(prediction.values[None])[:, 0]
    assert rate == 8000
    for written, given in ((heard, clips[0]), (said, again)):
        np.testing.assert_allclose(written, given / max(1, np.abs(given).max()), atol=2**-14)


def test_two_sounds_of_one_stem_keep_their_own_files(trained, saw, tmp_path):
    model = load_checkpoint(trained.best)
    (path,) = write_clips(tmp_path / "in", clips_of(model, saw, 1))
    sound, _ = soundfile.read(path)
    soundfile.write(tmp_path / "in/00.flac", sound / 2, 8000)
    predict_files(model, sound_files(tmp_path / "in"), None, tmp_path)
    assert {one.name for one in tmp_path.glob("*_input.wav")} == {"00.wav_input.wav", "00.flac_input.wav"}


def test_a_dataset_that_no_synth_of_ours_made_is_predicted_without_rendering(trained, saw, tmp_path):
    model = load_checkpoint(trained.best)
    paths = write_clips(tmp_path / "in", clips_of(model, saw, 1))
    model.spec = replace(model.spec, origin=replace(model.spec.origin, generator=None))
    predictions, faults = predict_files(model, paths, None, tmp_path)
    assert len(predictions) == 1 and not faults
    assert [one.name for one in tmp_path.glob("*.wav")] == ["00_input.wav"]


def test_a_model_whose_front_end_is_unknown_cannot_hear(trained):
    spec = load_checkpoint(trained.best).spec
    for missing in ("spectral", "sample_rate", "duration"):
        with pytest.raises(UserError, match=r"^vimh-.*: its description has no front end, .* src/eval.py"):
            make_front_end(replace(spec, origin=replace(spec.origin, **{missing: None})))


def test_sound_files_of_a_folder_are_those_with_a_known_suffix_in_order(tmp_path):
    for name in ("b.WAV", "a.flac", "notes.txt", "c.mp3"):
        (tmp_path / name).touch()
    assert [path.name for path in sound_files(tmp_path)] == ["a.flac", "b.WAV", "c.mp3"]
    assert sound_files(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_a_folder_without_sound_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^input: .* holds no sound file \(\.wav.*\) and no VIMH dataset$"):
        sound_files(tmp_path)


def test_predictions_are_written_as_csv_and_json_with_units(trained, tmp_path):
    space = load_checkpoint(trained.best).spec.space
    given = [
        Prediction(
            "a, b.wav", *(np.array(one) for one in ([100.123456789, -1.5], [0.5, np.nan], [99, np.nan], [101, np.nan]))
        ),
        Prediction("c.wav", *(np.array(one) for one in ([64, 0.3], [2, 0.25], [64, -0.1], [66.5, 0.3]))),
    ]
    given[1] = replace(given[1], distance=1.5, warnings=("unlike the training sounds", "an edge: note_velocity"))
    write_predictions(given, space, tmp_path)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    names = ["note_velocity", "log10_decay_time"]
    assert rows[0] == [
        "name",
        *(f"{name}{suffix}" for suffix in ("", "_uncertainty", "_low_90", "_high_90") for name in names),
        *("distance", "warnings"),
    ]
    assert rows[1] == ["a, b.wav", "100.123", "-1.5", "0.5", "nan", "99", "nan", "101", "nan", "nan", ""]
    warnings = "unlike the training sounds; an edge: note_velocity"
    assert rows[2] == ["c.wav", "64", "0.3", "2", "0.25", "64", "-0.1", "66.5", "0.3", "1.5", warnings]
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["predictions"]["a, b.wav"] == {"note_velocity": 100.123456789, "log10_decay_time": -1.5}
    assert content["uncertainties"]["a, b.wav"] == {"note_velocity": 0.5, "log10_decay_time": None}
    assert content["intervals_90"]["c.wav"] == {
        "note_velocity_low_90": 64,
        "log10_decay_time_low_90": -0.1,
        "note_velocity_high_90": 66.5,
        "log10_decay_time_high_90": 0.3,
    }
    assert content["intervals_90"]["a, b.wav"]["log10_decay_time_low_90"] is None
    assert content["distances"] == {"a, b.wav": None, "c.wav": 1.5}
    assert content["warnings"] == {"c.wav": ["unlike the training sounds", "an edge: note_velocity"]}
    assert content["units"] == {"note_velocity": "MIDI velocity", "log10_decay_time": "log10 s"}
    assert content["fixed"]["note_number"] == 43.35
