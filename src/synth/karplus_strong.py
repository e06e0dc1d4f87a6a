"""A built-in voice: a plucked string, noise that circulates in a delay line with filters.

Karplus & Strong, Digital Synthesis of Plucked-String and Drum Timbres, Computer Music Journal 7(2), 1983; the tuning
and the pick position are those of Jaffe & Smith, Extensions of the Karplus-Strong Plucked-String Algorithm, in the same
issue, and the damping filter is that of Smith, Physical Audio Signal Processing, 2010.
"""

from collections.abc import Mapping

import numpy as np

from src.synth.compiled import compiled
from src.synth.envelopes import SILENCE
from src.synth.oscillators import noise
from src.synth.saw_moog import SAW_MOOG, SAW_MOOG_LOG, note_to_hz
from src.synth.voice import Voice, parameter

SHORTEST_PERIOD = 3.0  # samples: the delay line is then one sample long


def string_filter(
    period: np.ndarray, decay_time: np.ndarray, brightness: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the delay N (V,) int64, the all-pass coefficient C (V,) and the taps (4, V) of strings.

    `period` and `decay_time` (V,) are in samples. The loop is rho z^-N (h1 + h0 z^-1 + h1 z^-2) (C + z^-1) /
    (1 + C z^-1). The three taps damp high partials, and delay all by one sample; the all-pass delays the first partial
    by what is left of the period, which tunes it. `taps` is the product of the two numerators.
    """
    h0, h1 = 0.5 * (1.0 + brightness), 0.25 * (1.0 - brightness)
    rho = np.exp(-period / decay_time)
    delay = np.floor(period - 1.5)  # leaves 0.5 to 1.5 samples for the all-pass
    left = period - 1.0 - delay
    omega = 2.0 * np.pi / period
    damping = (rho * (h0 + 2.0 * h1 * np.cos(omega))) ** (1.0 / period)
    z = np.maximum(damping, 0.5) * np.exp(1j * omega)  # below that there is no tone to tune
    for _ in range(2):  # first for a steady sine, then for one that decays, whose phase is a little different
        allpass = np.sin(0.5 * omega * (1.0 - left)) / np.sin(0.5 * omega * (1.0 + left))
        loop = np.exp(-1j * omega * delay) * (h1 + h0 / z + h1 / z**2) * (allpass + 1.0 / z) / (1.0 + allpass / z)
        left = left + np.clip(np.angle(loop) / omega, -0.1, 0.1)  # more is far from a tone
    taps = rho * np.stack([h1 * allpass, h0 * allpass + h1, h1 * allpass + h0, h1])
    return delay.astype(np.int64), allpass, taps


@compiled
def _pluck(burst, pick, delay, allpass, taps, out):  # pragma: no cover - compiled
    """Fill out (T, V), one string after the other, since each sample needs the one before it."""
    for v in range(out.shape[1]):
        start, length = delay[v] + 3, delay[v] + 2  # zeros before the pluck; its length, about a period
        y = np.zeros(start + 2 * length + out.shape[0])
        whole = np.int64(pick[v])
        share = pick[v] - whole
        for t in range(length):
            y[start + t] += burst[t]
            y[start + t + whole] -= (1.0 - share) * burst[t]
            y[start + t + whole + 1] -= share * burst[t]
        for t in range(start + 2 * length - 1, start, -1):
            y[t] += allpass[v] * y[t - 1]
        for t in range(start, start + out.shape[0]):
            at = t - delay[v]
            value = y[t] - allpass[v] * y[t - 1] + taps[0, v] * y[at] + taps[1, v] * y[at - 1]
            value += taps[2, v] * y[at - 2] + taps[3, v] * y[at - 3]
            y[t] = value if abs(value) > SILENCE else 0.0
            out[t - start, v] = y[t]


def render(parameters: Mapping[str, np.ndarray], sample_rate: float, num_samples: int) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32.

    The pluck is a period of noise, the same in every sound, minus itself after `pick_position` of a period, so that
    partials with a node at this point are missing. A string above a third of the sample rate is silent.
    """
    p = parameters
    period = sample_rate / note_to_hz(p["note_number"])
    level = np.where(period < SHORTEST_PERIOD, 0.0, 0.5 * p["note_velocity"] / 127.0)
    period = np.maximum(period, SHORTEST_PERIOD)
    delay, allpass, taps = string_filter(period, p["decay_time"] * sample_rate, p["brightness"])
    out = np.empty((num_samples, len(period)), np.float32)
    _pluck(noise(int(delay.max()) + 2), p["pick_position"] * period, delay, allpass, taps, out)
    return out * level.astype(np.float32)


KARPLUS_STRONG = Voice(
    name="karplus_strong",
    parameters=(
        SAW_MOOG.spec("note_number"),
        SAW_MOOG.spec("note_velocity"),
        SAW_MOOG_LOG.spec("decay_time"),
        parameter("brightness", 0, 1, 0.5, "", "1: all partials decay alike; 0: high partials decay fastest"),
        parameter("pick_position", 0.01, 0.5, 0.13, "", "from the string's end, relative to its length"),
    ),
    render=render,
)
