"""A re-implementation of the synthesizer of InverSynth, for comparison with its published results.

Barkan, Tsiris, Katz, Koenigstein, InverSynth: Deep Estimation of Synthesizer Parameter Configurations from Audio
Signals, IEEE/ACM TASLP 27(12), 2019, arXiv 1812.06349: four frequency-modulated oscillators y_w = A x_w(2 pi f t +
B sin(2 pi v t)) -> sum -> ADSR -> resonant low-pass -> square gater. The paper leaves open what these lines assume:

- B is the peak frequency deviation in Hz, so the phase deviates by B / v radians. As a phase, up to 1,500 radians of it
  would turn every oscillator into noise.
- The waves are naive, as the formula says. They alias. Band-limited ones would lose most of their partials, since the
  frequency deviates by more than itself.
- The key is released after `gate_time`, 0.75 s, so that three of four attacks end and decay and sustain are heard in
  most sounds. From the level at that time, the envelope falls linearly to 0 within the release, whatever has not ended.
- The filter has two poles: a state variable filter, with the quality q.
- The gater is open in the first half of each of its periods.
- The sum is divided by 4, so that full scale is 1 before the filter.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.compiled import compiled
from src.synth.envelopes import SILENCE
from src.synth.oscillators import sine, triangle
from src.synth.saw_moog import note_to_hz
from src.synth.voice import Voice, parameter
from src.utils.errors import UserError

SHAPES = ("sine", "saw", "triangle", "square")


@compiled
def _oscillators(frequency, rate, deviation, level, out):  # pragma: no cover - compiled
    """Fill out (T, V) with the sum of four waves of SHAPES, (4, V) each; frequencies and deviations are in periods."""
    for t in range(out.shape[0]):
        for v in range(out.shape[1]):
            saw = frequency[1, v] * t + deviation[1, v] * sine(rate[1, v] * t)
            square = frequency[3, v] * t + deviation[3, v] * sine(rate[3, v] * t)
            total = level[0, v] * sine(frequency[0, v] * t + deviation[0, v] * sine(rate[0, v] * t))
            total += level[1, v] * (2.0 * (saw - np.floor(saw)) - 1.0)
            total += level[2, v] * triangle(frequency[2, v] * t + deviation[2, v] * sine(rate[2, v] * t))
            total += level[3, v] * (1.0 if square - np.floor(square) < 0.5 else -1.0)
            out[t, v] = total


@compiled
def _held(t, rise, fall, sustain):  # pragma: no cover - compiled
    """Return the level of a pressed key; rise and fall are per sample."""
    return min(t * rise, max(1.0 - (t - 1.0 / rise) * fall, sustain))


@compiled
def _shape(rise, fall, sustain, drop, gate, filtered, gater, state, x):  # pragma: no cover - compiled
    """Multiply x (T, V) by its envelope, filter it with filtered (3, V), and gate it."""
    for t in range(x.shape[0]):
        for v in range(x.shape[1]):
            released = max(1.0 - (t - gate) * drop[v], 0.0)
            level = _held(min(t, gate), rise[v], fall[v], sustain[v]) * min(released, 1.0)
            high = x[t, v] * level - state[1, v]
            band = filtered[0, v] * state[0, v] + filtered[1, v] * high
            low = state[1, v] + filtered[1, v] * state[0, v] + filtered[2, v] * high
            first, second = 2.0 * band - state[0, v], 2.0 * low - state[1, v]
            state[0, v] = first if abs(first) > SILENCE else 0.0
            state[1, v] = second if abs(second) > SILENCE else 0.0
            phase = gater[v] * t
            x[t, v] = low if phase - np.floor(phase) < 0.5 else 0.0


def render(
    parameters: Mapping[str, np.ndarray], sample_rate: float, num_samples: int, gate_time: float = 0.75
) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32."""
    check_gate_time(gate_time)
    p = parameters
    note, rate, deviation, level = (
        np.stack([p[f"{shape}_{name}"] for shape in SHAPES]) for name in ("note", "fm_rate", "fm_depth", "level")
    )
    x = np.empty((num_samples, note.shape[1]))
    frequency = note_to_hz(note) / sample_rate
    _oscillators(frequency, rate / sample_rate, deviation / (2.0 * math.pi * rate), level / len(SHAPES), x)
    rise, drop = (1.0 / (p[name] * sample_rate) for name in ("attack", "release"))
    fall = (1.0 - p["sustain"]) / (p["decay"] * sample_rate)
    filtered = state_variable_filter(p["filter_cutoff"] / sample_rate, p["filter_q"])
    state = np.zeros((2, note.shape[1]))
    gate = gate_time * sample_rate
    _shape(rise, fall, p["sustain"], drop, gate, filtered, p["gate_rate"] / sample_rate, state, x)
    return x.astype(np.float32)


def state_variable_filter(cutoff: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return coefficients (3, V) of a two-pole low-pass; `cutoff` is in periods per sample, at most 0.45.

    Its integrators are trapezoidal, with a pre-warped cutoff (Zavalishin, "The Art of VA Filter Design", ch. 4).
    """
    g = np.tan(np.pi * np.minimum(cutoff, 0.45))
    first = 1.0 / (1.0 + g * (g + 1.0 / q))
    return np.stack([first, g * first, g * g * first])


def check_gate_time(gate_time: Any) -> None:
    """Raise UserError unless the setting is a time."""
    if isinstance(gate_time, bool) or not isinstance(gate_time, int | float) or not 0 < gate_time < math.inf:
        raise UserError(f"synth.settings.gate_time: {gate_time!r} given; give a number of seconds above 0")


def _oscillator(shape: str) -> tuple[ParameterSpec, ...]:
    return (
        parameter(f"{shape}_note", 0, 127, 69, "MIDI note", f"f of the {shape}; 69 is 440 Hz"),
        parameter(f"{shape}_fm_rate", 0.1, 30, 5, "Hz", f"v: how often the frequency of the {shape} goes up and down"),
        parameter(f"{shape}_level", 0, 1, 0.5, "", f"A: amplitude of the {shape}"),
        parameter(f"{shape}_fm_depth", 0, 1500, 0, "Hz", f"B: how far the frequency of the {shape} goes up and down"),
    )


INVERSYNTH = Voice(
    name="inversynth",
    parameters=(
        *(spec for shape in SHAPES for spec in _oscillator(shape)),
        parameter("attack", 0.001, 60, 0.01, "s", "a: rise time of the level"),
        parameter("decay", 0.001, 60, 0.1, "s", "d: time in which the level falls to its sustain"),
        parameter("sustain", 0, 1, 0.7, "", "s: level that is held until the key is released"),
        parameter("release", 0.001, 60, 0.3, "s", "r: time in which the level falls to 0 after the key is released"),
        parameter("filter_cutoff", 20, 20000, 2000, "Hz", "f_cut: cutoff of the low-pass"),
        parameter("filter_q", 0.01, 10, 0.7, "", "q: resonance; 0.7 is flat"),
        parameter("gate_rate", 0.01, 30, 0.5, "Hz", "f_gate: how often the sound goes on and off"),
    ),
    render=render,
    settings={"gate_time": 0.75},
)
