"""What every built-in voice promises: a sound is finite, depends on its own parameters alone, and stays as it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.parameters.space import ParameterSpace
from src.synth.voice import OUR_VOICES, load_voice
from tests.synth.references import repeatable

FS = 8000
VOICES = {path.rpartition(".")[2]: load_voice(path) for path in sorted(OUR_VOICES) if ".faust." not in path}
TIMES = [40, 400, 1600, 3200]
GOLDEN = {  # changes of the defaults, and samples at TIMES
    "ADDITIVE": ({"inharmonicity": 0.001, "even_level": 0.6}, [-0.044875, 0.114738, 0.151234, 0.074496]),
    "FM": ({"feedback": 0.5}, [0.591538, -0.502771, -0.277525, -0.118949]),
    "INVERSYNTH": (
        {"sine_fm_depth": 300, "saw_note": 71.3, "saw_fm_depth": 40, "triangle_note": 75.2, "square_note": 80.7},
        [0.063286, 0.133549, -0.190472, -0.166169],
    ),
    "KARPLUS_STRONG": ({}, [0.147794, -0.15832, -0.049819, -0.026121]),
    "SAW_MOOG": (
        {"filter_resonance": 0.6, "filter_env_amount": 1.0, "filter_env_attack": 0.05},
        [-0.012396, 0.189536, 0.162974, 0.133229],
    ),
    "SAW_MOOG_LOG": ({}, [-0.094384, 0.618819, 0.532635, 0.436097]),
    "TWO_OSCILLATORS": (
        {"noise_level": 0.1, "filter_env_amount": 1.5, "filter_env_sustain": 0.3},
        [0.127415, 0.346957, 0.479131, 0.491571],
    ),
}


def drawn(voice, count):
    """Return random values of all parameters, (V,) each."""
    space = ParameterSpace(voice.parameters)
    return space.complete(space.sample(0, 0, count))


@pytest.mark.parametrize("name", VOICES)
def test_a_sound_does_not_depend_on_its_neighbours(name):
    voice = VOICES[name]
    given_values = drawn(voice, 77)
    together = voice.render(given_values, FS, 700)
    assert together.shape == (700, 77) and together.dtype == np.float32 and together.any()
    alone = [slice(v, v + 1) for v in range(77)]
    for block in (*alone, slice(0, 64), slice(3, 20), np.random.default_rng(1).permutation(77)):
        chosen = {key: values[block] for key, values in given_values.items()}
        np.testing.assert_array_equal(voice.render(chosen, FS, 700), together[:, block])


@pytest.mark.parametrize("name", sorted({*VOICES} - {"SAW_MOOG", "SAW_MOOG_LOG", "TWO_OSCILLATORS"}))
def test_a_shorter_clip_is_the_beginning_of_a_longer_one(name):
    given_values = drawn(VOICES[name], 20)
    expected = VOICES[name].render(given_values, FS, 5000)[:400]
    np.testing.assert_array_equal(VOICES[name].render(given_values, FS, 400), expected)


@pytest.mark.parametrize("name", VOICES)
@repeatable
@given(data=st.data(), sample_rate=st.sampled_from([1000, 8000, 192_000]))
def test_samples_are_finite_at_all_edges_of_the_ranges(name, data, sample_rate):
    values = {}
    for spec in VOICES[name].parameters:
        edges = st.sampled_from([spec.min, spec.max, spec.default])
        values[spec.name] = np.array([data.draw(edges if spec.values else edges | st.floats(spec.min, spec.max))])
    x = VOICES[name].render(values, sample_rate, 500)
    assert np.isfinite(x).all() and np.abs(x).max() < 20


@pytest.mark.parametrize("name", VOICES)
def test_sounds_stay_as_they_are(name):
    """A change of a voice changes the bytes of datasets. Processors differ in the last digits."""
    changes, samples = GOLDEN[name]
    values = {spec.name: np.array([changes.get(spec.name, spec.default)]) for spec in VOICES[name].parameters}
    np.testing.assert_allclose(VOICES[name].render(values, FS, 4000)[TIMES, 0], samples, rtol=0, atol=2e-5)
