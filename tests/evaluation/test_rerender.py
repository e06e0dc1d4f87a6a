"""Sounds rendered again: exact values give the very images of the dataset."""

import dataclasses

import numpy as np
import pytest

from src.data.generate import generate
from src.data.recipe import parse_recipe
from src.data.spec import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.rerender import image_error, rendering_source
from tests import running


def loaded(directory, count=13):
    spec = read_spec(directory)
    batch = VIMHDataset(directory, "test").__getitems__(range(count))
    exact = np.load(directory / "test_params.npy")[:count].astype(np.float64)
    return spec, batch["image"].numpy(), batch["scale"].numpy(), exact


def test_exact_values_have_no_error_and_bytes_next_to_none(saw):
    spec, images, scale, exact = loaded(saw)
    mean = exact.mean(axis=0)
    error = image_error(spec, images, scale, exact, exact, mean)
    assert error.predicted == 0.0
    assert 0 < error.floor < 0.2 < 1 < error.baseline


def test_error_is_the_mean_absolute_difference_in_decibels(saw):
    """Each sound alone, in float64: 80 dB over 255 levels."""
    spec, images, scale, exact = loaded(saw)
    guess = exact[::-1]
    source = rendering_source(spec)
    differences = []
    for image, values in zip(images, guess, strict=True):
        again = source.images(values[None])[0][0]
        differences.append(np.abs(again.astype(np.float64) - image).mean() * 80 / 255)
    error = image_error(spec, images, scale, guess, exact, exact.mean(axis=0))
    assert error.predicted == pytest.approx(np.mean(differences), rel=1e-5)


def test_the_level_that_per_sample_scaling_takes_out_still_counts(tmp_path):
    recipe = parse_recipe(running.recipe("dataset.size=40", "spectral.image_scaling=per_sample"))
    spec, images, scale, exact = loaded(generate(recipe, tmp_path)[0], count=4)
    assert image_error(spec, images, scale, exact, exact, exact.mean(axis=0)).predicted == pytest.approx(0, abs=1e-5)
    quieter = exact - [10, 0]
    expected = -20 * np.log10(quieter[:, 0] / exact[:, 0])
    error = image_error(spec, images, scale, quieter, exact, exact.mean(axis=0))
    assert error.predicted == pytest.approx(expected.mean(), rel=0.02)


def test_a_dataset_of_unknown_origin_cannot_be_rendered(saw):
    spec, images, scale, exact = loaded(saw)
    unknown = dataclasses.replace(spec, generator=None)
    assert rendering_source(unknown) is None
    assert image_error(unknown, images, scale, exact, exact, exact.mean(axis=0)) is None


def test_a_synth_that_is_not_here_costs_the_sounds_only(saw, caplog):
    spec, images, scale, exact = loaded(saw)
    config = spec.generator["config"]
    elsewhere = {**config, "synth": {**config["synth"], "voice": "their_synths.organ.ORGAN"}}
    spec = dataclasses.replace(spec, generator={**spec.generator, "config": elsewhere})
    assert image_error(spec, images, scale, exact, exact, exact.mean(axis=0)) is None
    assert "their_synths.organ.ORGAN" in caplog.text and len(caplog.records) == 1
