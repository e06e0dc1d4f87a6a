"""FM against its closed form, the Bessel functions of its side bands, and a plain loop with feedback."""

import numpy as np
from scipy.special import jv

from src.synth.fm import FM
from src.synth.saw_moog import note_to_hz

FS = 8000


def voices(count=1, **given):
    return {spec.name: np.full(count, given.get(spec.name, spec.default), float) for spec in FM.parameters}


def test_it_is_chownings_formula():
    rng = np.random.default_rng(0)
    p = voices(
        30,
        note_number=rng.uniform(20, 90, 30),
        note_velocity=rng.uniform(0, 127, 30),
        ratio=rng.uniform(0.1, 20, 30),
        index=rng.uniform(0, 25, 30),
        index_decay_time=10 ** rng.uniform(-3, 1, 30),
        decay_time=10 ** rng.uniform(-2, 1, 30),
    )
    t = np.arange(FS)[:, None] / FS
    carrier = 2 * np.pi * note_to_hz(p["note_number"]) * t
    index = p["index"] * np.exp(-t / p["index_decay_time"])
    level = p["note_velocity"] / 127 * np.exp(-t / p["decay_time"])
    expected = level * np.sin(carrier + index * np.sin(p["ratio"] * carrier))
    np.testing.assert_allclose(FM.render(p, FS, FS), expected, rtol=0, atol=1e-6)


def test_side_bands_are_bessel_functions_of_the_index():
    """440 + 132 k Hz, k = -3..8, in bins of 4 Hz; no two side bands share a bin."""
    sample_rate, num_samples, k = 28_160, 7040, np.arange(-3, 9)
    for index in (0.5, 2.0, 5.0):
        p = voices(note_number=69, note_velocity=127, ratio=0.3, index=index, index_decay_time=100, decay_time=100)
        spectrum = np.abs(np.fft.rfft(FM.render(p, sample_rate, num_samples)[:, 0])) * 2 / num_samples
        np.testing.assert_allclose(
            spectrum[110 + 33 * k], np.abs(jv(k, index)), rtol=0, atol=0.006
        )  # it decays by 0.2 %


def test_feedback_is_that_of_a_plain_loop():
    p = voices(4, feedback=np.array([0.1, 0.5, 0.9, 1.0]), ratio=np.array([0.5, 1.0, 3.0, 7.0]), note_number=60)
    rendered = FM.render(p, FS, 1000)
    for v, (ratio, feedback) in enumerate(zip(p["ratio"], p["feedback"], strict=True)):
        step = 2 * np.pi * note_to_hz(60) / FS
        modulator, expected = [0.0, 0.0], []
        for t in range(1000):
            modulator.append(np.sin(ratio * step * t + feedback * (modulator[-1] + modulator[-2]) / 2))
            index = p["index"][v] * np.exp(-t / FS / p["index_decay_time"][v])
            expected.append(np.sin(step * t + index * modulator[-1]))
        level = p["note_velocity"][v] / 127 * np.exp(-np.arange(1000) / FS / p["decay_time"][v])
        np.testing.assert_allclose(rendered[:, v], level * expected, rtol=0, atol=1e-6)
