"""The additive voice against a plain sum of its partials."""

import numpy as np

from src.synth.additive import ADDITIVE
from src.synth.saw_moog import note_to_hz

FS = 8000


def voices(count=1, **given):
    return {spec.name: np.full(count, given.get(spec.name, spec.default), float) for spec in ADDITIVE.parameters}


def partial_sum(p, v, num_samples):
    """Return voice v of the formula in float64."""
    t = np.arange(num_samples) / FS
    total, amplitudes = np.zeros(num_samples), 0.0
    for k in range(1, 129):
        frequency = k * note_to_hz(p["note_number"][v]) * np.sqrt(1 + p["inharmonicity"][v] * k**2)
        if frequency < FS / 2:
            amplitude = 10 ** (p["spectral_slope"][v] * np.log2(k) / 20) * (p["even_level"][v] if k % 2 == 0 else 1)
            decay_time = p["decay_time"][v] / k ** p["decay_tilt"][v]
            total += amplitude * np.exp(-t / decay_time) * np.sin(2 * np.pi * frequency * t)
            amplitudes += amplitude
    return total / amplitudes * p["note_velocity"][v] / 127


def test_it_is_the_sum_of_its_partials():
    rng = np.random.default_rng(0)
    p = voices(
        12,
        note_number=rng.uniform(5, 100, 12),
        note_velocity=rng.uniform(0, 127, 12),
        inharmonicity=10 ** rng.uniform(-6, -1, 12),
        spectral_slope=rng.uniform(-24, 0, 12),
        even_level=rng.uniform(0, 1, 12),
        decay_time=10 ** rng.uniform(-2, 1, 12),
        decay_tilt=rng.uniform(0, 2, 12),
    )
    rendered = ADDITIVE.render(p, FS, 3000)
    for v in range(12):
        np.testing.assert_allclose(rendered[:, v], partial_sum(p, v, 3000), rtol=0, atol=1e-6)


def test_partials_above_half_the_sample_rate_are_left_out():
    p = voices(3, note_number=69 + 12 * np.log2(np.array([1333.0, 1334.0, 4001.0]) / 440), decay_time=100)
    spectrum = np.abs(np.fft.rfft(ADDITIVE.render(p, FS, FS), axis=0))
    assert (spectrum[:, 0] > 50).nonzero()[0].tolist() == [1333, 2666, 3999]
    assert (spectrum[:, 1] > 50).nonzero()[0].tolist() == [1334, 2668]
    assert not spectrum[:, 2].any()
