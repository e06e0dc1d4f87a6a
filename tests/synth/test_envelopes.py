"""Envelopes against np.interp and exp."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.synth.envelopes import SILENCE, adsr, apply_decay
from tests.synth.references import adsr_interp, repeatable


def one_adsr(attack, decay, sustain, release, num_samples):
    return adsr(*(np.array([x], float) for x in (attack, decay, sustain, release)), num_samples)[:, 0]


@pytest.mark.parametrize("sustain", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(
    "times",
    [
        (100, 200, 300),  # room to hold the sustain
        (250.5, 100.25, 33.3),
        (400, 300, 300),  # fits exactly
        (0, 200, 300),
        (100, 200, 0),
        (0, 200, 0),
        (0, 0, 1000),
        (1000, 0, 0),
        (1, 1, 1),
        (600, 500, 400),  # does not fit
        (80_000, 1000, 3),
        (0, 16_000, 16_000),
    ],
)
def test_adsr_matches_np_interp(times, sustain):
    attack, decay, release = times
    out = one_adsr(attack, decay, sustain, release, 1000)
    expected = adsr_interp(attack, decay, sustain, release, 1000)
    at_a_jump = np.zeros(1000, bool)  # a segment of less than a sample may take one sample
    for length, place in zip(times, np.cumsum([0, attack, decay]), strict=True):
        at_a_jump[int(place) : int(place) + 2] |= (length < 1) and place < 1000
    assert at_a_jump.sum() <= 6
    np.testing.assert_allclose(out[~at_a_jump], expected[~at_a_jump], rtol=0, atol=2e-4)


def test_adsr_without_transients_is_the_sustain():
    np.testing.assert_array_equal(one_adsr(0, 0, 0.3, 0, 100)[1:], np.float32(0.3))


def test_adsr_zero_attack_starts_at_the_peak_and_release_ends_the_clip():
    out = one_adsr(0, 500, 0.5, 250, 1000)
    assert out[0] == 1.0
    np.testing.assert_allclose(out[750:], 0.5 * np.arange(250, 0, -1) / 250, atol=1e-6)


def test_adsr_that_does_not_fit_shrinks_in_proportion():
    """2 s of attack, 1 s of decay and 1 s of release in a clip of 1 s take 0.5, 0.25 and 0.25 s."""
    long = one_adsr(16_000, 8000, 0.6, 8000, 8000)
    np.testing.assert_allclose(long, one_adsr(4000, 2000, 0.6, 2000, 8000), atol=1e-6)
    assert np.argmax(long) == 4000


times = st.floats(0, 5000)


@repeatable
@given(times, times, st.floats(0, 1), times, st.integers(1, 3000))
def test_adsr_stays_within_0_and_1(attack, decay, sustain, release, num_samples):
    out = one_adsr(attack, decay, sustain, release, num_samples)
    assert out.shape == (num_samples,) and out.dtype == np.float32
    assert np.all((out >= 0) & (out <= 1))


def test_decay_matches_closed_form():
    time_constant = np.array([80.0, 800.0, 8000.0, 1e6])
    level = np.array([1.0, 0.5, 64 / 127, 0.0])
    x = np.ones((16_000, 4), np.float32)
    x, _ = apply_decay(x, level, time_constant)
    expected = level * np.exp(-np.arange(16_000)[:, None] / time_constant)
    np.testing.assert_allclose(x, expected, rtol=2e-7, atol=SILENCE)


def test_decay_scales_what_it_is_given_and_ends_in_true_zero():
    rng = np.random.default_rng(0)
    given_x = rng.standard_normal((4000, 3)).astype(np.float32)
    level, time_constant = np.array([1.0, 0.3, 0.7]), np.array([0.8, 50.0, 1e4])
    x = given_x.copy()
    x, _ = apply_decay(x, level, time_constant)
    np.testing.assert_allclose(
        x, given_x * (level * np.exp(-np.arange(4000)[:, None] / time_constant)), rtol=5e-7, atol=1e-9
    )
    assert np.all(x[2000:, :2] == 0) and np.all(x[2000:, 2] != 0)
    assert level[1] == 0.3  # the caller's array is not used up


def test_blocks_joined_equal_the_whole():
    rng = np.random.default_rng(0)
    times, sustain = rng.uniform(0, 400, (3, 6)), rng.uniform(0, 1, 6)
    blocks = ((0, 1), (1, 450), (450, 1000))
    parts = [adsr(*times[:2], sustain, times[2], 1000, *block) for block in blocks]
    np.testing.assert_array_equal(np.concatenate(parts), adsr(*times[:2], sustain, times[2], 1000))
    x, level, time_constant = (
        rng.standard_normal((1000, 6)).astype(np.float32),
        np.linspace(0, 1, 6),
        10.0 ** np.arange(6),
    )
    whole, _ = apply_decay(x, level, time_constant)
    parts = []
    for start, stop in blocks:
        part, level = apply_decay(x[start:stop], level, time_constant)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for out in (np.empty_like(x), x):  # elsewhere, and in place
        assert apply_decay(x, np.linspace(0, 1, 6), time_constant, out=out)[0] is out
        np.testing.assert_array_equal(out, whole)
