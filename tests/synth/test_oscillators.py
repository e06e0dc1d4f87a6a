"""Waves against their Fourier series and closed forms, and against what aliasing would add."""

import numpy as np
import pytest

from src.synth.oscillators import SHAPES, TABLE_SIZE, noise, saw, sine, triangle, wave, wave_table
from tests.synth.references import saw_series

A4 = 440.0


def alias_db(x, frequency, sample_rate):
    """Return the energy that no harmonic (nor DC) of `frequency` explains, relative to the rest, by least squares."""
    phase = 2 * np.pi * frequency / sample_rate * np.arange(len(x))[:, None]
    partials = np.arange(1, np.ceil(sample_rate / 2 / frequency))
    basis = np.hstack([np.ones_like(phase), np.sin(phase * partials), np.cos(phase * partials)])
    fit = basis @ np.linalg.lstsq(basis, x, rcond=None)[0]
    return 10 * np.log10(np.sum((x - fit) ** 2) / np.sum(fit**2))


def test_saw_at_a4_has_non_harmonic_energy_below_minus_40_db():
    x = saw(np.array([A4]), 8000, 8000)[0][:, 0].astype(float)
    assert alias_db(x, A4, 8000) < -100


def test_naive_saw_at_a4_fails_the_aliasing_limit():
    x = saw(np.array([A4]), 8000, 8000, naive=True)[0][:, 0].astype(float)
    assert alias_db(x, A4, 8000) > -40


@pytest.mark.parametrize(("sample_rate", "frequency"), [(8000, 100.0), (8000, A4), (8000, 2500.0), (44100, 65.4)])
def test_saw_matches_additive_series(sample_rate, frequency):
    x = saw(np.array([frequency]), sample_rate, 8000)[0][:, 0]
    # linear interpolation errs by at most (2 pi k / N)^2 / 8 of a partial's amplitude 2 / (pi k)
    partials = np.arange(1, np.ceil(sample_rate / 2 / frequency))
    bound = np.sum((2 * np.pi * partials / TABLE_SIZE) ** 2 / 8 * 2 / (np.pi * partials)) + 1e-6
    np.testing.assert_allclose(x, saw_series(frequency, sample_rate, 8000), rtol=0, atol=bound)
    assert bound < 0.02


def test_saw_stays_in_phase_over_a_minute():
    x = saw(np.array([100.0]), 8000, 480_000)[0][-80:, 0]
    np.testing.assert_allclose(x, saw_series(100.0, 8000, 80), rtol=0, atol=2e-3)


def test_saw_table_matches_additive_series():
    phase = 2 * np.pi * np.arange(TABLE_SIZE + 1) / TABLE_SIZE
    expected = sum(-2 / (np.pi * k) * np.sin(k * phase) for k in range(1, 10))
    np.testing.assert_allclose(wave_table("saw", 9), expected, rtol=0, atol=1e-6)
    assert not wave_table("saw", 0).any()


def test_saw_starts_at_phase_zero_and_rises():
    x = saw(np.array([100.0, 440.0]), 8000, 40)[0]
    np.testing.assert_allclose(x[0], 0, atol=1e-6)
    assert np.all(np.diff(x[5:35, 0]) > -0.05)
    np.testing.assert_allclose(x[20, 0], -0.5, atol=0.02)  # a quarter period in: 2 * 0.25 - 1


def test_naive_saw_is_the_fractional_part():
    frequency = np.array([100.0, 261.63, 3999.0])
    x = saw(frequency, 8000, 4000, naive=True)[0]
    cycles = np.arange(4000)[:, None] * (frequency / 8000)
    np.testing.assert_allclose(x, 2 * (cycles % 1.0) - 1, rtol=0, atol=1e-6)


def test_only_partials_below_half_the_sample_rate_sound():
    """At 1333 Hz and 8 kHz the third partial is at 3999 Hz and stays; at 1334 Hz it is above and goes."""
    for frequency, count in [(1333.0, 3), (1334.0, 2), (4000.0, 0), (5000.0, 0)]:
        x = saw(np.array([frequency]), 8000, 8000)[0][:, 0]
        expected = sum(0.5 * (2 / (np.pi * k)) ** 2 for k in range(1, count + 1))
        np.testing.assert_allclose(np.mean(x.astype(float) ** 2), expected, atol=1e-4)


def test_saw_above_the_sample_rate_stays_inside_its_table():
    """MIDI note 127 at 8 kHz advances by more than a period a sample."""
    assert np.all(saw(np.array([12_543.9, 8000.0]), 8000, 8000)[0] == 0)


def test_saw_does_not_depend_on_its_neighbours():
    frequency = np.geomspace(30, 3000, 37)
    together = saw(frequency, 8000, 500)[0]
    for v in (0, 17, 36):
        np.testing.assert_array_equal(together[:, v], saw(frequency[v : v + 1], 8000, 500)[0][:, 0])


@pytest.mark.parametrize("naive", [False, True])
def test_blocks_joined_equal_the_whole(naive):
    frequency = np.array([100.0, 440.0, 3999.0, 12_543.9])
    whole, _ = saw(frequency, 8000, 1000, naive)
    state, parts = None, []
    for num_samples in (1, 299, 700):
        part, state = saw(frequency, 8000, num_samples, naive, state)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


CLOSED_FORMS = {
    "sine": lambda x: np.sin(2 * np.pi * x),
    "triangle": lambda x: 1 - 4 * np.abs((x + 0.25) % 1 - 0.5),
    "square": lambda x: np.where(x % 1 < 0.5, 1.0, -1.0),
    "saw": lambda x: 2 * (x % 1) - 1,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_low_wave_is_its_closed_form(shape):
    """Away from jumps; 400 partials are then within 1 % of the whole series."""
    x = wave(shape, np.array([10.0]), 8000, 8000)[0][:, 0]
    phase = 10 * np.arange(8000) / 8000
    away = np.abs((phase + 0.25) % 0.5 - 0.25) > 0.05
    np.testing.assert_allclose(x[away], CLOSED_FORMS[shape](phase)[away], rtol=0, atol=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_waves_do_not_alias(shape):
    x = wave(shape, np.array([A4]), 8000, 8000)[0][:, 0].astype(float)
    assert alias_db(x, A4, 8000) < -100


def test_the_sine_and_the_triangle_of_a_phase_are_their_closed_forms():
    phase = np.concatenate([np.linspace(-3, 3, 1201), np.random.default_rng(0).uniform(-5000, 5000, 1000)])
    np.testing.assert_allclose([sine(one) for one in phase], np.sin(2 * np.pi * phase), rtol=0, atol=1e-9)
    np.testing.assert_allclose([triangle(one) for one in phase], CLOSED_FORMS["triangle"](phase), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_moved_wave_has_the_phase_that_its_frequencies_add_up_to(shape):
    frequency, octaves = np.array([100.0, 350.0]), np.array([0.5, 2.0])
    modulation = np.sin(2 * np.pi * 5 * np.arange(4000)[:, None] / 8000) * np.ones(2)
    found, state = wave(shape, frequency, 8000, 4000, None, octaves, modulation)
    phase = np.cumsum(frequency * 2 ** (octaves * modulation), axis=0) / 8000
    phase = np.concatenate([np.zeros((1, 2)), phase])
    for v, highest in enumerate(frequency * 2**octaves):
        table = wave_table(shape, int(np.ceil(4000 / highest)) - 1)
        expected = np.interp(phase[:-1, v] % 1 * TABLE_SIZE, np.arange(TABLE_SIZE + 1), table)
        np.testing.assert_allclose(found[:, v], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(state, phase[-1] % 1, rtol=0, atol=1e-9)


def test_a_wave_that_is_moved_by_0_octaves_keeps_its_bytes():
    frequency, modulation = np.geomspace(30, 3000, 7), np.random.default_rng(0).uniform(-1, 1, (900, 7))
    expected, _ = wave("saw", frequency, 8000, 900)
    np.testing.assert_array_equal(wave("saw", frequency, 8000, 900, None, np.zeros(7), modulation)[0], expected)


def test_noise_is_white_uniform_and_the_same_in_blocks():
    whole = noise(20_000)
    assert whole.dtype == np.float32 and np.abs(whole).max() <= 1
    np.testing.assert_allclose([whole.mean(), whole.var()], [0, 1 / 3], atol=0.01)  # 2.4 and 4.7 standard errors
    correlation = [np.mean(whole[lag:] * whole[:-lag]) for lag in range(1, 10)]
    assert np.abs(correlation).max() < 0.015  # 6 standard errors
    parts = [noise(stop - start, start) for start, stop in ((0, 1), (1, 4), (4, 9_999), (9_999, 20_000))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(noise(100, seed=1), whole[:100])
