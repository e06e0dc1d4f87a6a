"""A built-in voice: two oscillators and noise -> Moog ladder with its own ADSR -> level with an ADSR, and an LFO."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.compiled import compiled
from src.synth.envelopes import adsr
from src.synth.oscillators import SHAPES, noise, sine, wave
from src.synth.saw_moog import SAW_MOOG, apply_filter, check_settings, note_to_hz
from src.synth.voice import Voice, parameter

if TYPE_CHECKING:
    import torch


def render(
    parameters: Mapping[str, np.ndarray], sample_rate: float, num_samples: int, drive: float = 0.5
) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32. The noise is the same in every sound."""
    check_settings("bandlimited", drive)
    p = parameters
    octaves, lfo = p["lfo_pitch_depth"] / 12.0, None
    if octaves.any() or p["lfo_cutoff_depth"].any():
        lfo = low_frequency_oscillator(p["lfo_rate"], sample_rate, num_samples)
    rest = sample_rate, num_samples, octaves, lfo if octaves.any() else None
    first = mixed_shapes(p["osc1_shape"], note_to_hz(p["note_number"]), *rest)
    second = mixed_shapes(p["osc2_shape"], note_to_hz(p["note_number"] + p["osc2_interval"]), *rest)
    mix, noise_level = (p[name].astype(np.float32) for name in ("osc_mix", "noise_level"))
    x = (1 - mix) * first + mix * second + noise_level * noise(num_samples)[:, None]
    added = None if lfo is None else (p["lfo_cutoff_depth"] * lfo).astype(np.float32)
    x = apply_filter(x, p, sample_rate, drive, added)
    times = [p[f"amp_{stage}"] * sample_rate for stage in ("attack", "decay", "release")]
    level = (p["note_velocity"] / 127.0).astype(np.float32)
    return x * adsr(times[0], times[1], p["amp_sustain"], times[2], num_samples) * level


@compiled
def _sines(frequency, out):  # pragma: no cover - compiled
    for t in range(out.shape[0]):
        for v in range(out.shape[1]):
            out[t, v] = sine(frequency[v] * t)


def low_frequency_oscillator(rate: np.ndarray, sample_rate: float, num_samples: int) -> np.ndarray:
    """Return sines of `rate` (V,) Hz, (T, V) float64, from phase 0."""
    out = np.empty((num_samples, len(rate)))
    _sines(rate / sample_rate, out)
    return out


def mixed_shapes(
    shape: np.ndarray,
    frequency: np.ndarray,
    sample_rate: float,
    num_samples: int,
    octaves: np.ndarray,
    lfo: np.ndarray | None,
) -> np.ndarray:
    """Return waves (T, V), each of its own shape, an index into SHAPES, moved by octaves (V,) times lfo (T, V)."""
    out = np.empty((num_samples, len(frequency)), np.float32)
    index = np.round(shape).astype(int)
    for one in np.unique(index):
        chosen = index == one
        vibrato = (None, None) if lfo is None else (octaves[chosen], lfo[:, chosen])
        out[:, chosen] = wave(SHAPES[one], frequency[chosen], sample_rate, num_samples, None, *vibrato)[0]
    return out


def render_differentiable(
    parameters: Mapping[str, "torch.Tensor"],
    sample_rate: float,
    num_samples: int,
    drive: float = 0.5,
    dtype: "torch.dtype | None" = None,
) -> "torch.Tensor":
    """Render parameters (B,) each -> (B, T), as `render`, with gradients, as src.synth.saw_moog does."""
    import torch  # rendering alone does not need it

    from src.synth.differentiable import two_oscillators

    check_settings("bandlimited", drive)
    return two_oscillators.render(parameters, sample_rate, num_samples, drive, dtype or torch.float32)


def _shape(name: str, default: int) -> ParameterSpec:
    last = len(SHAPES) - 1
    return ParameterSpec(
        name=name, min=0, max=last, values=SHAPES, default=default, description="shape of the oscillator"
    )


# synth.preset=NAME: what is left out has its default
PRESETS: dict[str, dict[str, float | str]] = {
    "bass": {"osc1_shape": "saw", "osc2_shape": "square", "osc2_interval": -12, "osc_mix": 0.4, "filter_cutoff": 200,
             "filter_resonance": 0.3, "filter_env_amount": 2.5, "filter_env_decay": 0.25, "filter_env_sustain": 0.1,
             "amp_decay": 0.3, "amp_sustain": 0.6},
    "lead": {"osc1_shape": "saw", "osc2_shape": "saw", "osc2_interval": 0.12, "filter_cutoff": 1500,
             "filter_resonance": 0.4, "lfo_rate": 5.5, "lfo_pitch_depth": 0.3},
    "pad": {"osc1_shape": "triangle", "osc2_shape": "saw", "osc2_interval": 0.08, "filter_cutoff": 600,
            "amp_attack": 0.4, "amp_decay": 0.2, "amp_sustain": 0.8, "amp_release": 0.3, "lfo_rate": 0.8,
            "lfo_cutoff_depth": 0.7},
    "pluck": {"osc1_shape": "square", "osc2_shape": "saw", "osc2_interval": 12, "osc_mix": 0.3, "filter_cutoff": 300,
              "filter_env_amount": 3, "filter_env_decay": 0.12, "filter_env_sustain": 0, "amp_attack": 0.002,
              "amp_decay": 0.4, "amp_sustain": 0},
    "wobble": {"osc1_shape": "saw", "osc2_shape": "square", "osc2_interval": -12, "filter_cutoff": 400,
               "filter_resonance": 0.7, "noise_level": 0.1, "amp_decay": 0, "amp_sustain": 1, "lfo_rate": 4,
               "lfo_cutoff_depth": 2},
}  # fmt: skip

TWO_OSCILLATORS = Voice(
    name="two_oscillators",
    parameters=(
        *(spec for spec in SAW_MOOG.parameters if spec.name.startswith("note_")),
        _shape("osc1_shape", 3),
        _shape("osc2_shape", 2),
        parameter("osc2_interval", -24, 24, 0.1, "semitones", "from the first oscillator to the second"),
        parameter("osc_mix", 0, 1, 0.5, "", "0 is the first oscillator alone, 1 the second"),
        parameter("noise_level", 0, 1, 0, "", "amplitude of white noise"),
        *(spec for spec in SAW_MOOG.parameters if spec.name.startswith("filter_")),
        parameter("amp_attack", 0, 60, 0.01, "s", "rise time of the level"),
        parameter("amp_decay", 0, 60, 0.1, "s", "time in which the level falls to its sustain"),
        parameter("amp_sustain", 0, 1, 0.7, "", "level that is held"),
        parameter("amp_release", 0, 60, 0.1, "s", "final fall of the level, which ends with the clip"),
        parameter("lfo_rate", 0.01, 50, 5, "Hz", "of a sine that moves the pitch and the cutoff"),
        parameter("lfo_pitch_depth", 0, 24, 0, "semitones", "how far the LFO moves both pitches, up and down"),
        parameter("lfo_cutoff_depth", 0, 8, 0, "octaves", "how far the LFO moves the cutoff, up and down"),
    ),
    render=render,
    settings={"drive": 0.5},
    differentiable=render_differentiable,
    presets=PRESETS,
)
