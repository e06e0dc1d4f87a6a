"""The limits of errors: in closed form where an image is known, and against what a fit to real images attains."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from src.data.generate import generate
from src.data.info import read_spec
from src.data.jacobian import choose_steps, jacobian
from src.data.limits import BYTE_SD, MAE_PER_SD, PRIOR_SD, add_limits, lower_limit, measure_limits
from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.data.spec import DatasetSpec
from src.data.spec_schema import Sensitivity
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests import running
from tests.data.conftest import tiny_recipe


def shipped(synth, *overrides):
    return load_source(parse_recipe(running.recipe(f"synth={synth}", *overrides)))


def source_of(space, render):
    """Return a source whose images (n, 1, 1, 4) are a function of its values in [0, 1]."""

    def float_images(values):
        return render(space.normalize(values))[:, None, None], np.tile(np.float32([-80, 0]), (len(values), 1))

    return SimpleNamespace(
        name="known",
        synth=SimpleNamespace(space=space),
        recipe=SimpleNamespace(dataset=SimpleNamespace(seed=0)),
        front_end=SimpleNamespace(image_shape=(1, 1, 4)),
        float_images=float_images,
    )


GAIN = ParameterSpec(name="gain", min=-20, max=20, unit="dB")
CUTOFF = ParameterSpec(name="cutoff", min=100, max=1000, unit="Hz", scale="log")
OCTAVE = ParameterSpec(name="octave", min=-2, max=2, step=1, kind="ordinal")


def test_a_linear_image_has_the_limits_of_a_line_fit():
    """With orthogonal columns of norms 0.5 and 0.25, an sd is that of one rounding error over the norm."""
    space = ParameterSpace([GAIN, OCTAVE, CUTOFF])
    slopes = np.array([[0.3, 0.4, 0, 0], [0, 0, 0, 0.1], [0, 0, 0.25, 0]])
    limits = measure_limits(source_of(space, lambda unit: unit @ slopes), 50)
    np.testing.assert_allclose(limits.sd[:, 0], BYTE_SD / 0.5, rtol=1e-3)
    np.testing.assert_allclose(limits.sd[:, 2], BYTE_SD / 0.25, rtol=1e-3)
    assert np.isnan(limits.sd[:, 1]).all() and np.isnan(limits.correlation[:, 1]).all()  # not continuous: held
    assert np.abs(limits.correlation[:, 0, 2]).max() < 1e-6 and not limits.undetermined.any()
    assert limits.mae(0) == pytest.approx(MAE_PER_SD * BYTE_SD / 0.5 * 40, rel=1e-3)
    in_hz = limits.values[:, 2].mean() * np.log(10)  # a derivative on a log scale is relative
    assert limits.mae(2) == pytest.approx(MAE_PER_SD * BYTE_SD / 0.25 * in_hz, rel=1e-3)


def test_parameters_of_which_only_the_sum_counts_are_undetermined_and_bounded_by_their_ranges():
    space = ParameterSpace([GAIN, CUTOFF, ParameterSpec(name="third", min=0, max=1)])
    limits = measure_limits(source_of(space, lambda unit: unit @ np.array([[1, 1], [1, 1], [1, -1]])), 20)
    # their sum is known and their difference only by the prior: its variance is shared by both
    np.testing.assert_allclose(limits.sd[:, :2], PRIOR_SD / np.sqrt(2), rtol=1e-3)
    np.testing.assert_allclose(limits.correlation[:, 0, 1], -1, atol=1e-3)
    assert limits.sd[:, 2].max() < 0.01
    assert limits.undetermined.all(axis=0).tolist() == [True, True, False]


def test_a_parameter_without_effect_has_the_sd_of_its_range():
    space = ParameterSpace([GAIN, CUTOFF])
    limits = measure_limits(source_of(space, lambda unit: unit[:, :1] * np.ones(4)), 20)
    np.testing.assert_allclose(limits.sd[:, 1], PRIOR_SD, rtol=1e-6)
    assert limits.undetermined.all(axis=0).tolist() == [False, True]


def test_what_is_well_determined_has_the_cramer_rao_limit():
    random = np.random.default_rng(0)
    columns = random.standard_normal((6, 4, 200)) * np.array([1e2, 1e3, 1e4, 1e6])[:, None]
    information = columns @ columns.transpose(0, 2, 1)
    sd, correlation, undetermined = lower_limit(information)
    covariance = np.linalg.inv(information)
    expected = np.sqrt(np.einsum("npp->np", covariance))
    np.testing.assert_allclose(sd, expected, rtol=1e-3)
    np.testing.assert_allclose(correlation, covariance / (expected[:, :, None] * expected[:, None, :]), atol=1e-3)
    assert not undetermined.any()
    assert (lower_limit(information * 1e-12)[0] <= PRIOR_SD).all()


def test_a_recipe_without_continuous_parameters_has_none():
    source = source_of(ParameterSpace([OCTAVE]), lambda unit: unit * np.ones(4))
    rows = [Sensitivity(name="octave", step_levels=1, range_levels=9, blind=False)]
    assert add_limits(source, rows) == rows
    with pytest.raises(UserError, match="no parameter is continuous"):
        measure_limits(source)


def test_a_level_in_white_noise_has_the_limit_of_its_amplitude():
    """Bins of a rectangular window are independent: the variance of a magnitude is 2 / n_window of the noise's."""
    source = shipped("simple_saw", "synth.duration=0.5", "+synth.parameters.log10_decay_time.value=2")
    limits = measure_limits(source, 20, noise_db=50)
    sounds = source.sounds(limits.values)
    noise = np.mean(np.square(sounds, dtype=float), axis=1) * 1e-5
    images, _ = source.float_images(limits.values)
    energy = (10 ** (8 * images - 8)).sum(axis=(1, 2, 3))  # 80 dB; powers
    relative = np.sqrt(2 / 80 * noise / energy)
    expected = relative * limits.values[:, 0] / (127 - 64)
    assert np.median(limits.sd[:, 0] / expected) == pytest.approx(1, abs=0.1)  # 32 draws of noise a point


def test_generation_stores_the_limits(tmp_path):
    directory, spec = generate(tiny_recipe(), tmp_path)
    rows, limits = read_spec(directory).origin.sensitivity, measure_limits(load_source(tiny_recipe()))
    assert rows == spec.origin.sensitivity
    assert DatasetSpec.from_dict(spec.to_dict()).origin.sensitivity == rows  # as a checkpoint carries them
    for column, row in enumerate(rows):
        assert row.limit_mae == pytest.approx(limits.mae(column), rel=1e-3)
        assert row.limit_median == pytest.approx(np.median(limits.sd[:, column]), rel=1e-3) and row.limit_90 < PRIOR_SD


# medians in percent of the range, of another implementation at 200 other points
MEDIANS = {
    "simple_saw": [0.118, 0.0079],
    "moog_basic": [0.396, 0.0198, 0.0132, 0.0472],
    "moog_resonance": [0.000067, 0.325, 0.0250, 0.0051, 0.0457],
    "moog_envelope": [0.000018, 0.239, 0.087, 0.022, 0.032, 0.0146, 0.0140, 0.028, 0.040, 0.021],
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("moog_resonance", "moog_envelope")]


@pytest.mark.parametrize("synth", ["simple_saw", "moog_basic", *SLOW])
def test_shipped_synths_have_the_reference_medians(synth):
    limits = measure_limits(shipped(synth), 200)
    tolerance = np.full(len(limits.space), 0.2)  # of medians over 200 points each
    if synth == "moog_envelope":
        tolerance[limits.space.index("filter_env_release")] = 0.6  # shorter times here than in the reference
    assert (np.abs(np.median(limits.sd, axis=0) * 100 / MEDIANS[synth] - 1) < tolerance).all()
    assert limits.undetermined.any(axis=1).mean() < 0.02


def test_descriptions_of_older_datasets_have_none():
    row = {"name": "cutoff", "step_levels": 1.0, "range_levels": 9.0, "blind": False}
    assert Sensitivity.model_validate(row).limit_mae is None


@pytest.mark.slow
def test_times_that_do_not_fit_the_clip_are_undetermined():
    longer = [f"synth.parameters.filter_env_{stage}" for stage in ("decay.max=1.5", "release.max=1")]
    limits = measure_limits(shipped("moog_envelope", *longer), 200)
    columns = [limits.space.index(f"filter_env_{stage}") for stage in ("attack", "decay", "release")]
    too_long = limits.values[:, columns].sum(axis=1) > 2.0
    assert 0.08 < too_long.mean() < 0.25
    found = limits.undetermined.any(axis=1)
    assert found[too_long].mean() > 0.7 and found[~too_long].mean() < 0.02
    moved = limits.undetermined[found].mean(axis=0)
    assert set(np.argsort(moved)[-3:]) == set(columns)


def fitted(source, limits, target, amplitude=lambda image: image):
    """Return errors (n, P), of the ranges, of a Gauss-Newton fit to images (n, cells) that starts at the truth."""
    space = limits.space
    truth = space.normalize(limits.values)

    def render(unit):
        return amplitude(source.float_images(space.denormalize(unit))[0].reshape(len(unit), -1))

    unit, steps = truth.copy(), choose_steps(render, truth[:8], np.ones(len(space), bool))
    for _ in range(3):
        residual = target - render(unit)
        derivatives = jacobian(render, unit, steps)
        squared = derivatives @ derivatives.transpose(0, 2, 1)
        damping = 1e-6 * np.einsum("npp->np", squared)[:, :, None] * np.eye(len(space))
        move = np.linalg.solve(squared + damping, derivatives @ residual[:, :, None])[:, :, 0]
        moved = np.clip(unit + move, 0, 1)
        better = np.sum((target - render(moved)) ** 2, axis=1) < np.sum(residual**2, axis=1)
        unit[better] = moved[better]
    return np.abs(unit - truth)


@pytest.mark.slow
@pytest.mark.parametrize("synth", list(MEDIANS))
def test_a_fit_from_the_truth_attains_the_limit(synth):
    source = shipped(synth)
    limits = measure_limits(source, 150)
    target = source.images(limits.values)[0].reshape(150, -1) / 255
    errors, space = fitted(source, limits, target), limits.space
    counted = np.ones(len(errors), bool)
    if "filter_env_sustain" in space.names:  # from a sustain of 0 a release falls to 0, and has no effect
        counted = limits.values[:, space.index("filter_env_sustain")] > 0.05
    ratio = errors[counted].mean(axis=0) / (MAE_PER_SD * limits.sd[counted].mean(axis=0))
    assert ((ratio > 1 / 1.3) & (ratio < 1.3)).all(), dict(zip(space.names, ratio, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("synth", ["moog_basic", "moog_resonance"])
def test_a_fit_to_noisy_magnitudes_attains_the_limit(synth):
    def amplitude(image):
        return 10.0 ** (4.0 * image - 4.0)  # 80 dB

    source = shipped(synth)
    limits = measure_limits(source, 150, noise_db=40)
    sounds = source.sounds(limits.values)
    level = 0.01 * np.sqrt(np.mean(np.square(sounds, dtype=float), axis=1, keepdims=True))
    noise = level * np.random.default_rng(7).standard_normal(sounds.shape)
    images, _ = source.front_end(torch.from_numpy((sounds + noise).astype(np.float32)))
    errors = fitted(source, limits, amplitude(images.reshape(150, -1).numpy().astype(float)), amplitude)
    ratio = errors.mean(axis=0) / (MAE_PER_SD * limits.sd.mean(axis=0))
    assert ((ratio > 1 / 1.3) & (ratio < 1.3)).all(), dict(zip(limits.space.names, ratio, strict=True))
