"""The parts of a page: arrays, pictures, sounds, curves and neighbours."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.distance import cdist

from src.data.info import read_spec
from src.data.spec import hop_samples
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.image_axes import known_axes
from src.evaluation.reports import curves, examples, neighbours, page, pictures
from src.evaluation.reports.sounds import encoded_sounds
from src.spectral.mel import hz_to_mel, mel_centres
from tests.evaluation.reports.made import make_predictions


@pytest.mark.parametrize("kind", ["f4", "u1"])
def test_an_array_in_a_page_has_the_same_bytes(kind):
    array = np.arange(12).reshape(3, 4).astype(kind)
    found = page.packed(array.T)
    assert base64.b64decode(found["base64"]) == np.ascontiguousarray(array.T).tobytes()
    assert found["type"] == {"f4": "Float32Array", "u1": "Uint8Array"}[kind]


@given(st.dictionaries(st.text(), st.text() | st.floats()))
def test_data_of_a_page_cannot_end_its_element(given_data):
    text = page.to_script(given_data)
    assert "<" not in text
    expected = {key: page.without_nan(value) for key, value in given_data.items()}
    assert json.loads(text) == expected


def test_thumbnails_are_means_and_lie_where_the_page_looks_for_them():
    images = np.random.default_rng(0).integers(256, size=(7, 64, 96), dtype=np.uint8)
    small = pictures.shrink(images)
    expected = images.reshape(7, 32, 2, 32, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small, np.floor(expected), atol=1e-9)
    smooth = np.repeat(np.arange(7, dtype=np.uint8)[:, None, None] * 30, 32, axis=1).repeat(32, axis=2)
    found = pictures.sprite(smooth)
    content, columns = base64.b64decode(found["url"].removeprefix("data:image/webp;base64,")), found["columns"]
    sheet = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    for row in range(7):
        top, left = row // columns * 32, row % columns * 32
        np.testing.assert_allclose(sheet[top + 8 : top + 24, left + 8 : left + 24], 30 * row, atol=6)  # it is lossy


def test_a_picture_is_stored_exactly_and_a_large_one_thinned_out():
    image = np.random.default_rng(0).integers(256, size=(9, 5), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(pictures.png(image[::-1])))), image[::-1])
    assert Image.open(io.BytesIO(pictures.png(np.zeros((600, 256), np.uint8)))).size == (256, 200)


def test_sounds_have_one_gain_and_a_note_says_which():
    clips = {"true": np.float32([0.5, -0.5, 0.25]), "predicted": np.float32([2.0, 0.0, -1.0])}
    found = encoded_sounds(clips, 8000, most=2)
    assert found["note"].startswith("All its sounds are 6.0 dB quieter") and "Only the first" in found["note"]
    for kind, clip in clips.items():
        content = io.BytesIO(base64.b64decode(found["sounds"][kind]))
        samples, rate = soundfile.read(content)
        assert rate == 8000
        np.testing.assert_allclose(samples, clip[:2] / 2, atol=2**-15)
    assert encoded_sounds({"true": clips["true"]}, 8000, most=9)["note"] == ""


def test_examples_are_the_best_the_median_the_worst_and_the_worst_of_each_head():
    predictions = make_predictions(101)
    mean = examples.relative_errors(predictions).mean(axis=1)
    rows = list(examples.chosen_rows(predictions).items())
    assert rows[0][0] == mean.argmin() and rows[0][1].startswith("best")
    assert mean[rows[1][0]] == np.median(mean) and rows[2][0] == mean.argmax()
    worst = np.abs(predictions.value - predictions.truth)[:, 0].argmax()
    assert "worst cutoff" in dict(rows)[worst]


def test_axes_are_those_of_the_front_end(saw):
    spec = read_spec(saw)
    axes, spectral = known_axes(spec), spec.origin.spectral
    rate, hop = spec.origin.sample_rate, hop_samples(spec)
    middle = (spectral.n_window / 2 + np.arange(spectral.width) * hop) / rate  # of the frames
    step = (axes["x"]["max"] - axes["x"]["min"]) / spectral.width
    np.testing.assert_allclose(axes["x"]["min"] + (np.arange(spectral.width) + 0.5) * step, middle)
    bins = np.fft.rfftfreq(spectral.n_fft, 1 / rate)[1 : spectral.height + 1]
    height = (axes["y"]["max"] - axes["y"]["min"]) / spectral.height
    np.testing.assert_allclose(axes["y"]["min"] + (np.arange(spectral.height) + 0.5) * height, bins)


def test_mel_bands_end_halfway_to_the_neighbours_that_the_image_lacks(saw):
    spec = read_spec(saw)
    mel = spec.origin.spectral.model_copy(update={"type": "mel", "freq_min": 50.0})
    spec = replace(spec, origin=replace(spec.origin, spectral=mel))
    axes, highest = known_axes(spec), mel.freq_max_ratio * spec.origin.sample_rate / 2
    centres = hz_to_mel(mel_centres(mel.height, 50.0, highest))
    low, high = hz_to_mel(np.array([axes["y"]["min"], axes["y"]["max"]]))
    np.testing.assert_allclose(low + (high - low) * (np.arange(mel.height) + 0.5) / mel.height, centres)
    assert axes["y"]["mel"] is True


def test_neighbours_are_those_of_the_least_euclidean_distance(saw):
    datamodule = VIMHDataModule(saw)
    space = datamodule.spec.space
    test, train = (datamodule.dataset(split) for split in ("test", "train"))
    errors, tested, known = neighbours.nearest_errors(space, test, train)
    pixels = [each.__getitems__(range(len(each)))["image"].numpy().reshape(len(each), -1) for each in (test, train)]
    nearest = cdist(*(one.astype(np.float64) for one in pixels)).argmin(axis=1)
    truth, found = space.denormalize(test.targets()), space.denormalize(train.targets())[nearest]
    np.testing.assert_allclose(errors, np.abs(truth - found).mean(axis=0))
    assert (tested, known) == (13, 102)


def test_curves_are_those_of_metrics_csv_and_the_epoch_of_the_score_is_marked(tmp_path):
    lines = ["epoch,step,train/loss,val/loss,val/nmae", "0,9,,2.0,0.5", "0,9,3.0,,", "1,19,,1.0,0.25", "1,19,1.5,,"]
    lines += ["2,29,,1.2,nan", ""]
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv/metrics.csv").write_text("\n".join(lines))
    found = curves.read_curves(tmp_path, {"monitor": "val/nmae", "score": 0.25})
    assert found["chosen"] == 2
    loss, monitor = found["groups"]
    assert [line["name"] for line in loss["lines"]] == ["train/loss", "val/loss"]
    assert loss["lines"][0]["points"] == [(1, 3.0), (2, 1.5)]
    assert monitor["lines"][0]["points"] == [(1, 0.5), (2, 0.25)]
    assert curves.read_curves(tmp_path / "none", {}) is None
    assert curves.read_curves(tmp_path, {})["chosen"] is None
