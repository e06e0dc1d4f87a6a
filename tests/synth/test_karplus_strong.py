"""The plucked string against scipy's filter, and its tuning, decay and pick position."""

import numpy as np
import pytest
from scipy.signal import lfilter

from src.synth.karplus_strong import KARPLUS_STRONG, string_filter
from src.synth.oscillators import noise
from src.synth.saw_moog import note_to_hz

FS = 8000


def voices(count=1, **given):
    return {spec.name: np.full(count, given.get(spec.name, spec.default), float) for spec in KARPLUS_STRONG.parameters}


def to_note(frequency):
    return 69 + 12 * np.log2(np.asarray(frequency) / 440)


def string_polynomials(frequency, decay_time, brightness):
    """Return numerator and denominator of a string, 1 / (1 - loop), from the textbook's parts."""
    period = FS / frequency
    delay, allpass, _ = (one[..., 0] for one in string_filter(*np.array([[period], [decay_time * FS], [brightness]])))
    damping = np.array([(1 - brightness) / 4, (1 + brightness) / 2, (1 - brightness) / 4])
    loop = np.exp(-period / (decay_time * FS)) * np.convolve(damping, [allpass, 1])
    numerator = np.array([1, allpass])
    denominator = np.zeros(delay + 4)
    denominator[:2] = numerator
    denominator[delay:] -= loop
    return numerator, denominator


def test_it_is_the_filtered_pluck():
    rng = np.random.default_rng(0)
    p = voices(
        20,
        note_number=np.append(rng.uniform(10, 95, 18), to_note([2600.0, 2000.0])),
        note_velocity=rng.uniform(0, 127, 20),
        decay_time=10 ** rng.uniform(-2, 1, 20),
        brightness=rng.uniform(0, 1, 20),
        pick_position=rng.uniform(0.01, 0.5, 20),
    )
    rendered = KARPLUS_STRONG.render(p, FS, 3000)
    for v in range(20):
        frequency = note_to_hz(p["note_number"][v])
        numerator, denominator = string_polynomials(frequency, p["decay_time"][v], p["brightness"][v])
        length, pick = len(denominator) - 2, p["pick_position"][v] * FS / frequency
        burst = np.zeros(3000)
        burst[:length] = noise(length)
        comb = np.zeros(int(pick) + 2)
        comb[0] = 1
        comb[-2:] -= [1 - pick % 1, pick % 1]
        expected = lfilter(numerator, denominator, lfilter(comb, 1, burst)) * 0.5 * p["note_velocity"][v] / 127
        np.testing.assert_allclose(rendered[:, v], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("brightness", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("frequency", [33.3, 65.4, 123.4, 261.6, 440.0, 523.3, 777.7, 999.9])
def test_the_first_partial_is_within_a_cent_of_the_note(frequency, brightness):
    poles = np.roots(string_polynomials(frequency, 1.0, brightness)[1])
    found = np.abs(np.angle(poles)) * FS / (2 * np.pi)
    assert 1200 * np.abs(np.log2(found[found > frequency / 2] / frequency)).min() < 1


def test_a_bright_string_decays_as_told():
    p = voices(note_number=to_note([100.0]), decay_time=0.2, brightness=1)
    x = KARPLUS_STRONG.render(p, FS, FS)[:, 0].astype(float)
    level = np.sqrt(np.mean(x.reshape(100, 80) ** 2, axis=1))
    np.testing.assert_allclose(level[70] / level[20], np.exp(-0.5 / 0.2), rtol=0.02)


def test_partials_with_a_node_where_the_string_is_picked_are_missing():
    p = voices(
        2, note_number=to_note([100.0, 100.0]), pick_position=np.array([0.5, 0.25]), decay_time=100, brightness=1
    )
    spectrum = np.abs(np.fft.rfft(KARPLUS_STRONG.render(p, FS, FS), axis=0))
    for v, every in ((0, 2), (1, 4)):
        partials = spectrum[100 : 20 * 100 : 100, v]
        missing = np.arange(1, 20) % every == 0
        assert partials[missing].max() < 0.03 * partials[~missing].max()


def test_a_string_above_a_third_of_the_sample_rate_is_silent():
    x = KARPLUS_STRONG.render(voices(2, note_number=to_note([2666.0, 2667.0])), FS, 100)
    assert x[:, 0].any() and not x[:, 1].any()
