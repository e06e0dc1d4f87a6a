"""A built-in voice: a sum of decaying sines, which may be stretched as those of a stiff string."""

from collections.abc import Mapping

import numpy as np

from src.synth.compiled import compiled
from src.synth.envelopes import SILENCE
from src.synth.saw_moog import SAW_MOOG, SAW_MOOG_LOG, note_to_hz
from src.synth.voice import Voice, parameter

MAX_PARTIALS = 128
DB_PER_OCTAVE = 20.0 * np.log10(2.0)  # the slope of amplitudes in proportion to the partial's number
_PART = 32  # samples: the sums of a part, and what rotates, stay in the processor's fastest cache


@compiled
def _add_partials(turn, state, total):  # pragma: no cover - compiled
    """Add to total (T, V) the imaginary part of state (K, 2, V), which each sample multiplies by turn (K, 2, V)."""
    for start in range(0, total.shape[0], _PART):
        stop = min(start + _PART, total.shape[0])
        for k in range(turn.shape[0]):
            for v in range(turn.shape[2]):
                loud = state[k, 0, v] * state[k, 0, v] + state[k, 1, v] * state[k, 1, v] > SILENCE * SILENCE
                state[k, 0, v] = state[k, 0, v] if loud else 0.0
                state[k, 1, v] = state[k, 1, v] if loud else 0.0
            for t in range(start, stop):
                for v in range(turn.shape[2]):
                    real, imaginary = state[k, 0, v], state[k, 1, v]
                    total[t, v] += imaginary
                    state[k, 0, v] = real * turn[k, 0, v] - imaginary * turn[k, 1, v]
                    state[k, 1, v] = real * turn[k, 1, v] + imaginary * turn[k, 0, v]


def render(parameters: Mapping[str, np.ndarray], sample_rate: float, num_samples: int) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32.

    Partial k = 1 .. 128 has the frequency k f sqrt(1 + B k^2) of a stiff string (Fletcher, Normal Vibration Frequencies
    of a Stiff Piano String, J. Acoust. Soc. Am. 36, 1964), the phase 0, and the time constant decay_time / k^tilt.
    Partials above half the sample rate are left out. The amplitudes of the others add up to 1.
    """
    p = parameters
    k = np.arange(1, MAX_PARTIALS + 1)[:, None]
    frequency = k * note_to_hz(p["note_number"]) * np.sqrt(1.0 + p["inharmonicity"] * k**2) / sample_rate
    amplitude = np.exp(np.log(k) * p["spectral_slope"] / DB_PER_OCTAVE) * np.where(k % 2 == 0, p["even_level"], 1.0)
    amplitude = np.where(frequency < 0.5, amplitude, 0.0)
    amplitude /= np.maximum(amplitude.cumsum(axis=0)[-1], 1e-9)  # numpy's sum rounds differently for a single voice
    count = max(1, int(np.count_nonzero(frequency < 0.5, axis=0).max()))  # the voice with the most partials
    ratio = np.exp(-np.exp(np.log(k) * p["decay_tilt"]) / (p["decay_time"] * sample_rate))
    turn = ratio * np.exp(2j * np.pi * frequency)
    state = np.stack([amplitude * p["note_velocity"] / 127.0, np.zeros_like(amplitude)], axis=1)
    total = np.zeros((num_samples, frequency.shape[1]))
    _add_partials(np.stack([turn.real, turn.imag], axis=1)[:count], state[:count], total)
    return total.astype(np.float32)


ADDITIVE = Voice(
    name="additive",
    parameters=(
        SAW_MOOG.spec("note_number"),
        SAW_MOOG.spec("note_velocity"),
        parameter("inharmonicity", 1e-6, 0.1, 1e-6, "", "B of a stiff string; 1e-6 is harmonic", scale="log"),
        parameter("spectral_slope", -48, 0, -6, "dB/octave", "level of a partial by its number"),
        parameter("even_level", 0, 1, 1, "", "amplitude of the even partials; 0 is hollow, as in a clarinet"),
        SAW_MOOG_LOG.spec("decay_time"),
        parameter("decay_tilt", 0, 2, 0.5, "", "partial k decays k^x times as fast as the first"),
    ),
    render=render,
)
