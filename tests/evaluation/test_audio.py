"""Sounds of a whole split against their reconstructions: figures agree with numpy, scipy and closed forms."""

import json
import shutil

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.signal import resample_poly

from src.data.info import read_spec
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset
from src.evaluation import audio
from src.evaluation.audio import audio_source, compare_audio, image_limit, summarise
from src.evaluation.metrics.published import mss
from src.evaluation.metrics.table import METRICS
from src.evaluation.rerender import rendering_source
from src.models.build import build_model, load_checkpoint
from src.utils.errors import UserError
from tests import running
from tests.evaluation.datasets import write_every_kind


@pytest.fixture(scope="module")
def source(saw):
    return rendering_source(read_spec(saw))


@pytest.fixture(scope="module")
def exact(saw):
    return np.load(saw / "test_params.npy").astype(np.float64)


@pytest.fixture(scope="module")
def guess(exact):
    """Predictions: those of the sound before."""
    return np.roll(exact, 1, axis=0)


@pytest.fixture(scope="module")
def comparison(saw, source, guess):
    return compare_audio(VIMHDataModule(saw), source, {"predicted": guess}, None)


def row(comparison, name):
    (found,) = [each for each in comparison.results.rows if each.name == name]
    return found


def test_the_predictions_come_before_four_reference_rows(comparison):
    names = [each.name for each in comparison.results.rows]
    assert names == ["predicted", "exact labels", "byte labels", "image limit", "mean baseline"]
    assert all(set(each.metrics) == set(METRICS) for each in comparison.results.rows)
    assert comparison.results.num_clips == 13


def test_figures_of_predicted_sounds_are_those_of_numpy(comparison, source, exact, guess):
    true, other = source.sounds(exact).astype(np.float64), source.sounds(guess).astype(np.float64)
    power = [np.square(each).mean(axis=1) for each in (other, true)]
    level = np.abs(10 * np.log10(power[0] / power[1]))
    found = row(comparison, "predicted").metrics
    assert found["level_error"].mean == pytest.approx(level.mean(), rel=1e-4)
    assert found["level_error"].median == pytest.approx(np.median(level), rel=1e-4)
    esr = np.square(other - true).sum(axis=1) / np.square(true).sum(axis=1)
    assert found["esr"].mean == pytest.approx(esr.mean(), rel=1e-4)


def test_references_are_in_their_order(comparison):
    """Exact labels give the true sounds; an image tells less than a byte here (velocity), and far more than a mean."""
    lsd = {each.name: each.metrics["lsd"].mean for each in comparison.results.rows}
    assert lsd["exact labels"] < 1e-3 < lsd["byte labels"] < 0.3
    assert lsd["exact labels"] < lsd["image limit"] < 0.1 < 1 < lsd["mean baseline"]
    assert row(comparison, "exact labels").metrics["si_sdr"].mean > 80


def test_the_mean_baseline_is_the_mean_of_the_training_split(comparison, saw):
    expected = np.load(saw / "train_params.npy").mean(axis=0, dtype=np.float64)
    assert comparison.candidates["mean baseline"] == pytest.approx(np.tile(expected, (13, 1)), rel=1e-5)


def test_the_image_limit_is_scipys_least_squares_solution(saw, source, exact):
    """From the truth to the parameters whose unrounded image is nearest to the stored bytes."""
    test, space = VIMHDataset(saw, "test"), source.synth.space
    found = space.normalize(image_limit(source, test, exact))
    images = test.__getitems__(range(3))["image"].numpy() / 255.0
    for at in range(3):

        def residual(unit, at=at):
            image = source.float_images(space.denormalize(unit[None]))[0]
            return 255.0 * (image - images[at]).ravel().astype(np.float64)

        start = space.normalize(exact[at])
        best = least_squares(residual, start, bounds=(-1e-9, 1 + 1e-9), diff_step=1e-4, xtol=1e-10).x
        cost = [np.square(residual(unit)).sum() for unit in (found[at], best, start)]
        assert cost[0] <= cost[2]
        assert cost[0] == pytest.approx(cost[1], rel=0.01)
        assert found[at] == pytest.approx(best, abs=5e-4)


@pytest.mark.parametrize(("block", "together"), [(5, 2), (1, 8)])
def test_blocks_change_nothing(comparison, saw, source, guess, monkeypatch, block, together):
    monkeypatch.setattr(audio, "_BLOCK", block)
    monkeypatch.setattr(audio, "_AT_ONCE", together)
    candidates = {"predicted": guess}
    metrics, embeddings = audio._measure(source, comparison.truth, candidates, 8000)
    assert len(embeddings["predicted"]) == 13
    for name, found in metrics["predicted"].items():
        expected = comparison.metrics["predicted"][name]
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5, nan_ok=True), name


def test_metrics_at_another_rate_are_those_of_resampled_sounds(source, exact, guess):
    metrics, _ = audio._measure(source, exact[:4], {"predicted": guess[:4]}, 44100)
    true, other = (
        torch.from_numpy(resample_poly(source.sounds(values[:4]), 441, 80, axis=1).astype(np.float32))
        for values in (exact, guess)
    )
    assert metrics["predicted"]["mss"] == pytest.approx(mss(other, true, 44100).numpy(), rel=1e-3)


@pytest.fixture
def one_metric(monkeypatch):
    monkeypatch.setattr(audio, "METRICS", {"esr": METRICS["esr"]})


def test_a_dataset_of_byte_labels_has_no_row_for_them_and_says_so(saw, source, guess, tmp_path, one_metric):
    directory = shutil.copytree(saw, tmp_path / saw.name)
    for path in directory.glob("*_params.npy"):
        path.unlink()
    path = directory / "vimh_dataset_info.json"
    info = json.loads(path.read_text())
    text = json.dumps(info)
    for name in [name for name in read_spec(directory).sha256 if name.endswith(".npy")]:
        text = text.replace(f'"{name}"', f'"gone_{name}"')
    path.write_text(text)
    results = compare_audio(VIMHDataModule(directory), source, {"predicted": guess}, None).results
    assert [each.name for each in results.rows] == ["predicted", "mean baseline"]
    assert "rounded to bytes" in results.notes[0]


def test_exact_values_are_the_truth_also_for_a_model_of_byte_labels(saw, source, guess, exact, one_metric):
    found = compare_audio(VIMHDataModule(saw, labels="quantised"), source, {"predicted": guess}, None)
    assert np.array_equal(found.truth, exact)


def test_a_summary_counts_clips_with_a_value_and_has_the_interval_of_their_mean():
    values = np.concatenate([np.random.default_rng(0).normal(3.0, 1.0, 400), [np.nan] * 50])
    found = summarise(values)
    known = values[:400]
    assert (found.clips, found.mean, found.median) == (
        400,
        pytest.approx(known.mean()),
        pytest.approx(np.median(known)),
    )
    half = 1.96 * known.std(ddof=1) / 20
    assert found.interval == pytest.approx((known.mean() - half, known.mean() + half), abs=0.15 * half)


def test_a_metric_without_any_value_has_no_figures():
    found = summarise(np.full(3, np.nan))
    assert (found.mean, found.median, found.interval, found.clips) == (None, None, None, 0)


def test_sets_are_compared_if_they_are_large_enough(comparison):
    """The Frechet distance of a set and the same set shifted by d is |d|^2."""
    assert all(each.fad_logmel is None for each in comparison.results.rows)
    assert "at least 256 clips" in comparison.results.notes[-1]
    true = torch.randn(300, 128, generator=torch.Generator().manual_seed(0))
    shift = torch.linspace(0, 1, 128)
    distances, note = audio._distances({"": true, "shifted": true + shift, "same": true.clone()})
    assert not note
    assert distances["shifted"] == pytest.approx(float(shift.square().sum()), rel=1e-3)
    assert distances["same"] == pytest.approx(0, abs=1e-6)


def test_json_holds_every_figure(comparison):
    content = json.loads(comparison.results.to_json())
    assert content["sample_rate"] == content["rendered_rate"] == 8000
    found = content["rows"][0]["metrics"]["mss"]
    assert found["interval"][0] < found["mean"] < found["interval"][1]
    assert set(content["rows"][0]["metrics"]) == set(METRICS)


@pytest.mark.parametrize("rate", [100, 10**7, 44100.5, "high", True])
def test_a_rate_that_no_metric_can_use_is_refused(trained, saw, rate):
    with pytest.raises(UserError, match=r"metrics\.sample_rate: .* given; give 5000 to 192000 Hz, or null"):
        audio_source(load_checkpoint(trained.best), VIMHDataModule(saw), rate)


def test_a_model_without_parameters_is_refused(saw):
    model = build_model(running.plain("train", "model", "task=features"), read_spec(saw))
    with pytest.raises(UserError, match="predicts no parameters"):
        audio_source(model, VIMHDataModule(saw), None)


def test_sounds_of_unknown_origin_are_refused_before_the_test(trained, tmp_path):
    write_every_kind(tmp_path / "images")
    with pytest.raises(UserError, match=r"audio: true given, but no sound can be rendered: images: .* no recipe"):
        audio_source(load_checkpoint(trained.best), VIMHDataModule(tmp_path / "images"), None)
