"""The ladder against a float64 loop, scipy's lfilter, and the figures of an ideal four-pole loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from src.synth.ladder import ladder
from tests.synth.references import ladder_loop, repeatable

FS = 8000
CUTOFFS = np.array([100.0, 150.0, 300.0, 700.0, 1300.0, 2000.0, 0.3 * FS])


def impulse_response(cutoff_hz, resonance, num_samples, drive=0.0, sample_rate=FS):
    x = np.zeros((num_samples, len(cutoff_hz)), np.float32)
    x[0] = 1
    x, _ = ladder(x, cutoff_hz, np.full(len(cutoff_hz), resonance), sample_rate, drive)
    return x.astype(float)


def noise(num_samples, num_voices, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (num_samples, num_voices)).astype(np.float32)


@pytest.mark.parametrize("resonance", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("sample_rate", [8000, 48_000])
def test_linear_ladder_matches_scipy_lfilter(sample_rate, resonance):
    """The bilinear transform of 1 / ((1 + s)^4 + 4 r), each one-pole's cutoff pre-warped."""
    cutoffs = np.array([40.0, 440.0, 0.1 * sample_rate, 0.44 * sample_rate])
    x = noise(4000, len(cutoffs))
    y = x.copy()
    y, _ = ladder(y, cutoffs, np.full(len(cutoffs), resonance), sample_rate)
    for v, cutoff in enumerate(cutoffs):
        g = np.tan(np.pi * cutoff / sample_rate)
        zeros = g**4 * np.poly([-1] * 4)
        poles = (1 + g) ** 4 * np.poly([(1 - g) / (1 + g)] * 4) + 4 * resonance * zeros
        expected = lfilter(zeros, poles, x[:, v].astype(float))
        np.testing.assert_allclose(y[:, v], expected, rtol=0, atol=3e-5 * np.abs(expected).max())


@pytest.mark.parametrize("drive", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("resonance", [0.0, 0.6, 0.95])
def test_ladder_matches_float64_loop(resonance, drive):
    cutoffs = np.array([30.0, 500.0, 3000.0])
    x = 2 * noise(400, 3)
    y = x.copy()
    y, _ = ladder(y, cutoffs, np.full(3, resonance), FS, drive)
    for v, cutoff in enumerate(cutoffs):
        expected = ladder_loop(x[:, v], cutoff, resonance, FS, drive)
        np.testing.assert_allclose(y[:, v], expected, rtol=0, atol=3e-5 * np.abs(expected).max())


@pytest.mark.parametrize("drive", [0.0, 0.5, 3.0])
def test_modulated_ladder_matches_float64_loop(drive):
    """Four octaves up and eight down, through both clamps, at audio rate."""
    x, envelope = noise(600, 4), noise(600, 4, seed=1)
    cutoffs, octaves = np.array([50.0, 400.0, 1000.0, 3000.0]), np.array([4.0, -4.0, 8.0, 1.0])
    resonance = np.array([0.0, 0.5, 0.8, 0.95])
    y = x.copy()
    y, _ = ladder(y, cutoffs, resonance, FS, drive, octaves, envelope)
    for v in range(4):
        cutoff = cutoffs[v] * 2.0 ** (octaves[v] * envelope[:, v].astype(float))
        expected = ladder_loop(x[:, v], cutoff, resonance[v], FS, drive)
        np.testing.assert_allclose(y[:, v], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_saturator_matches_tanh():
    """What a constant input settles to, deep in the saturator, is tanh(drive * x) / drive."""
    level = np.array([0.01, 0.3, 0.8, 2.0, 20.0])
    x = np.tile(level.astype(np.float32), (400, 1))
    x, _ = ladder(x, np.full(5, 2000.0), np.zeros(5), FS, drive=1.5)
    np.testing.assert_allclose(x[-1], np.tanh(1.5 * level) / 1.5, rtol=0.025)


@pytest.mark.parametrize("sample_rate", [8000, 44_100])
def test_minus_12_db_at_cutoff_without_resonance(sample_rate):
    cutoffs = np.array([100.0, 200.0, 440.0, 1000.0, 0.2 * sample_rate, 0.3 * sample_rate])
    h = impulse_response(cutoffs, 0.0, 8192, sample_rate=sample_rate)
    at_cutoff = np.exp(-2j * np.pi * np.outer(cutoffs / sample_rate, np.arange(len(h))))
    decibels = 20 * np.log10(np.abs(np.einsum("vt,tv->v", at_cutoff, h)))
    np.testing.assert_allclose(decibels, -12.04, rtol=0, atol=0.01)
    np.testing.assert_allclose(h.sum(axis=0), 1.0, atol=1e-4)  # unity at DC


@pytest.mark.parametrize("resonance", [0.95, 0.98, 0.99])
def test_resonance_peaks_at_the_cutoff(resonance):
    h = impulse_response(CUTOFFS, resonance, 1 << 15)
    peak = np.abs(np.fft.rfft(h, axis=0)).argmax(axis=0) * FS / len(h)
    np.testing.assert_allclose(peak, CUTOFFS, rtol=0.02)


def test_peak_grows_with_resonance_to_self_oscillation():
    steps = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99]
    h = [impulse_response(CUTOFFS, r, 1 << 15) for r in steps]
    peaks = 20 * np.log10([np.abs(np.fft.rfft(one, axis=0)).max(axis=0) for one in h])
    assert np.all(np.diff(peaks, axis=0) > 0)
    assert np.all(peaks[-1] > 30)


def test_resonance_1_oscillates_on_at_the_cutoff():
    """Undriven: an undamped sine; the ideal loop's poles then lie on the imaginary axis."""
    h = impulse_response(CUTOFFS, 1.0, 40_000)
    early, late = np.abs(h[4000:8000]).max(axis=0), np.abs(h[-4000:]).max(axis=0)
    np.testing.assert_allclose(late, early, rtol=0.02)
    spectrum = np.abs(np.fft.rfft(h[-8000:] * np.hanning(8000)[:, None], axis=0))
    np.testing.assert_allclose(spectrum.argmax(axis=0), CUTOFFS, rtol=0.005, atol=1)


@pytest.mark.parametrize("drive", [0.1, 0.5, 2.0])
def test_driven_resonance_1_sustains_and_is_bounded(drive):
    """The saturator takes energy in proportion to level^2, so the level falls as 1 / sqrt(t), never faster."""
    h = impulse_response(CUTOFFS, 1.0, 80_000, drive)
    early, late = np.abs(h[19_000:20_000]).max(axis=0), np.abs(h[-1000:]).max(axis=0)
    assert np.all(late > 0.4 * early)  # four times as late: half as loud
    assert np.all(late < 1.01 * early)
    damped = impulse_response(CUTOFFS, 0.97, 80_000, drive)
    assert np.all(np.abs(damped[-1000:]).max(axis=0) < 0.01 * late)


frequencies = st.floats(-1e6, 1e6)


@repeatable
@given(
    cutoff=frequencies,
    resonance=st.floats(0, 1),
    drive=st.floats(0.01, 20),
    octaves=st.floats(-8, 8),
    sample_rate=st.sampled_from([1000, 8000, 192_000]),
    seed=st.integers(0, 1000),
    jumps=st.booleans(),
)
def test_driven_ladder_is_stable_whatever_moves_its_cutoff(cutoff, resonance, drive, octaves, sample_rate, seed, jumps):
    x, envelope = noise(3000, 1, seed), noise(3000, 1, seed + 1)
    if jumps:
        x, envelope = np.sign(x), np.sign(envelope)
    x, _ = ladder(x, np.array([cutoff]), np.array([resonance]), sample_rate, drive, np.array([octaves]), envelope)
    assert np.all(np.abs(x) < 30)


@repeatable
@given(cutoff=frequencies, resonance=st.floats(0, 0.95), octaves=st.floats(-8, 8), seed=st.integers(0, 1000))
def test_linear_ladder_is_stable_under_noise_modulation(cutoff, resonance, octaves, seed):
    x, envelope = noise(3000, 1, seed), np.sign(noise(3000, 1, seed + 1))
    x, _ = ladder(x, np.array([cutoff]), np.array([resonance]), FS, 0.0, np.array([octaves]), envelope)
    assert np.all(np.abs(x) < 100)


def test_worst_case_modulation_of_1000_voices_stays_bounded():
    """Full-scale square noise through every cutoff, jumping by 16 octaves from sample to sample."""
    x, envelope = np.sign(noise(4000, 1000)), np.sign(noise(4000, 1000, seed=1))
    x, _ = ladder(x, np.geomspace(0.1, 1e5, 1000), np.ones(1000), FS, 0.5, np.full(1000, 8.0), envelope)
    assert np.all(np.abs(x) < 6)


def test_cutoff_is_clamped_to_20_hz_and_045_of_the_sample_rate():
    given_x = noise(500, 8)
    asked = np.array([-100.0, 0.0, 1.0, 20.0, 0.45 * FS, 4000.0, 1e9, np.inf])
    given_x[:] = given_x[:, :1]
    given_x, _ = ladder(given_x, asked, np.full(8, 0.5), FS, 0.5)
    for v in range(3):
        np.testing.assert_array_equal(given_x[:, v], given_x[:, 3])
    for v in range(5, 8):
        np.testing.assert_array_equal(given_x[:, v], given_x[:, 4])
    assert not np.array_equal(given_x[:, 3], given_x[:, 4])


def test_still_and_unmoved_cutoff_are_bit_identical():
    x = noise(1000, 5)
    still, unmoved = x.copy(), x.copy()
    cutoffs, resonance = np.geomspace(50, 3000, 5), np.linspace(0, 1, 5)
    still, _ = ladder(still, cutoffs, resonance, FS, 0.5)
    unmoved, _ = ladder(unmoved, cutoffs, resonance, FS, 0.5, np.zeros(5), noise(1000, 5, seed=2))
    np.testing.assert_array_equal(still, unmoved)


def test_blocks_joined_equal_the_whole_and_change_no_input():
    x, envelope = noise(1000, 5), noise(1000, 5, seed=2)
    cutoffs, resonance, octaves = np.geomspace(50, 3000, 5), np.linspace(0, 1, 5), np.linspace(-2, 2, 5)
    before = x.copy()
    whole, _ = ladder(x, cutoffs, resonance, FS, 0.5, octaves, envelope)
    state, parts = None, []
    for start, stop in ((0, 1), (1, 300), (300, 1000)):
        part, state = ladder(x[start:stop], cutoffs, resonance, FS, 0.5, octaves, envelope[start:stop], state)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(x, before)
    for out in (np.empty_like(x), x):  # elsewhere, and in place
        assert ladder(x, cutoffs, resonance, FS, 0.5, octaves, envelope, out=out)[0] is out
        np.testing.assert_array_equal(out, whole)
