"""Sounds rendered again: exact values give the very images of the dataset."""

from dataclasses import replace

import numpy as np
import pytest

from src.data.generate import generate
from src.data.info import read_spec
from src.data.recipe import parse_recipe
from src.data.vimh_dataset import VIMHDataset
from src.evaluation import rerender
from src.evaluation.rerender import image_errors, rendering_source
from tests import running


def loaded(directory):
    """Return a dataset's source, its test split and that split's exact values."""
    exact = np.load(directory / "test_params.npy").astype(np.float64)
    return rendering_source(read_spec(directory)), VIMHDataset(directory, "test"), exact


def test_exact_values_have_no_error_and_rounded_ones_next_to_none(saw):
    source, test, exact = loaded(saw)
    space = source.synth.space
    rounded = space.from_byte(space.to_byte(exact))
    errors = image_errors(source, test, {"exact": exact, "rounded": rounded, "mean": exact.mean(axis=0)})
    assert (errors["exact"] == 0).all()
    assert 0 < errors["rounded"].mean() < 0.2 < 1 < errors["mean"].mean()
    assert {one.shape for one in errors.values()} == {(13,)}


@pytest.mark.parametrize("batch", [1, 5, 512])
def test_errors_are_mean_absolute_differences_in_decibels_whatever_the_batches(saw, monkeypatch, batch):
    """Each sound alone, in float64: 80 dB over 255 levels."""
    monkeypatch.setattr(rerender, "_BATCH", batch)
    source, test, exact = loaded(saw)
    constant = exact.mean(axis=0)
    found = image_errors(source, test, {"guess": exact[::-1], "constant": constant})
    for at, image in enumerate(test.__getitems__(range(13))["image"].numpy()):
        for name, values in (("guess", exact[::-1][at]), ("constant", constant)):
            again = source.images(values[None])[0][0]
            expected = np.abs(again.astype(np.float64) - image).mean() * 80 / 255
            assert found[name][at] == pytest.approx(expected, rel=1e-4)


def test_the_level_that_per_sample_scaling_takes_out_still_counts(tmp_path):
    recipe = parse_recipe(running.recipe("dataset.size=40", "spectral.image_scaling=per_sample"))
    source, test, exact = loaded(generate(recipe, tmp_path)[0])
    quieter = exact - [10, 0]
    errors = image_errors(source, test, {"exact": exact, "quieter": quieter})
    assert errors["exact"] == pytest.approx(0, abs=1e-5)
    expected = -20 * np.log10(quieter[:, 0] / exact[:, 0])
    assert errors["quieter"].mean() == pytest.approx(expected.mean(), rel=0.02)


def test_a_dataset_of_unknown_origin_cannot_be_rendered(saw):
    spec = read_spec(saw)
    assert rendering_source(replace(spec, origin=replace(spec.origin, generator=None))) is None


def test_a_synth_that_is_not_here_is_a_warning(saw, caplog):
    spec = read_spec(saw)
    config = spec.origin.recipe
    elsewhere = {**config, "synth": {**config["synth"], "voice": "their_synths.organ.ORGAN"}}
    spec = replace(spec, origin=replace(spec.origin, generator={"config": elsewhere}))
    assert rendering_source(spec) is None
    assert "their_synths.organ.ORGAN" in caplog.text and len(caplog.records) == 1
