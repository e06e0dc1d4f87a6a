"""A built-in voice: two-operator FM, a sine whose phase is modulated by another sine.

Chowning, The Synthesis of Complex Audio Spectra by Means of Frequency Modulation, J. Audio Eng. Soc. 21(7), 1973.
"""

import math
from collections.abc import Mapping

import numpy as np

from src.synth.compiled import compiled
from src.synth.envelopes import SILENCE, apply_decay
from src.synth.oscillators import sine
from src.synth.saw_moog import SAW_MOOG, SAW_MOOG_LOG, note_to_hz
from src.synth.voice import Voice, parameter


@compiled
def _operators(carrier, modulator, index_ratio, feedback, state, out):  # pragma: no cover - compiled
    """Fill out (T, V), with phases in periods; the state (3, V) is the index and the modulator's last two values."""
    for t in range(out.shape[0]):
        for v in range(out.shape[1]):
            modulation = sine(modulator[v] * t + feedback[v] * (state[1, v] + state[2, v]))
            out[t, v] = sine(carrier[v] * t + state[0, v] * modulation)
            state[0, v] = state[0, v] * index_ratio[v] if state[0, v] > SILENCE else 0.0
            state[2, v] = state[1, v]
            state[1, v] = modulation


def render(parameters: Mapping[str, np.ndarray], sample_rate: float, num_samples: int) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32.

    The sound is sin(2 pi f t + I(t) m(t)), m(t) = sin(2 pi r f t + b (m(t - 1) + m(t - 2)) / 2), with times in samples
    in the feedback. The mean of two samples keeps the feedback from oscillating at half the sample rate. Side bands
    above half the sample rate alias, as in digital FM synthesizers.
    """
    p = parameters
    carrier = note_to_hz(p["note_number"]) / sample_rate
    state = np.zeros((3, len(carrier)))
    state[0] = p["index"] / (2.0 * math.pi)
    index_ratio = np.exp(-1.0 / (p["index_decay_time"] * sample_rate))
    out = np.empty((num_samples, len(carrier)), np.float32)
    _operators(carrier, carrier * p["ratio"], index_ratio, p["feedback"] / (4.0 * math.pi), state, out)
    return apply_decay(out, p["note_velocity"] / 127.0, p["decay_time"] * sample_rate, out=out)[0]


FM = Voice(
    name="fm",
    parameters=(
        SAW_MOOG.spec("note_number"),
        SAW_MOOG.spec("note_velocity"),
        parameter("ratio", 0.1, 20, 2, "", "frequency of the modulator, relative to the carrier", scale="log"),
        parameter("index", 0, 25, 3, "rad", "peak phase deviation of the carrier at the beginning"),
        parameter("index_decay_time", 1e-4, 100, 0.3, "s", "the index decays as exp(-t / x)", scale="log"),
        parameter("feedback", 0, 1, 0, "rad", "phase deviation of the modulator by itself; 1 is nearly a saw"),
        SAW_MOOG_LOG.spec("decay_time"),
    ),
    render=render,
)
