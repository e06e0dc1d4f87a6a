"""A built-in voice: two oscillators and noise -> Moog ladder with its own ADSR -> level with an ADSR."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.envelopes import adsr
from src.synth.oscillators import SHAPES, noise, wave
from src.synth.saw_moog import SAW_MOOG, apply_filter, check_settings, note_to_hz
from src.synth.voice import Voice

if TYPE_CHECKING:
    import torch


def render(
    parameters: Mapping[str, np.ndarray], sample_rate: float, num_samples: int, drive: float = 0.5
) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32. The noise is the same in every sound."""
    check_settings("bandlimited", drive)
    p = parameters
    first = mixed_shapes(p["osc1_shape"], note_to_hz(p["note_number"]), sample_rate, num_samples)
    second = mixed_shapes(p["osc2_shape"], note_to_hz(p["note_number"] + p["osc2_interval"]), sample_rate, num_samples)
    mix, noise_level = (p[name].astype(np.float32) for name in ("osc_mix", "noise_level"))
    x = (1 - mix) * first + mix * second + noise_level * noise(num_samples)[:, None]
    x = apply_filter(x, p, sample_rate, drive)
    times = [p[f"amp_{stage}"] * sample_rate for stage in ("attack", "decay", "release")]
    level = (p["note_velocity"] / 127.0).astype(np.float32)
    return x * adsr(times[0], times[1], p["amp_sustain"], times[2], num_samples) * level


def mixed_shapes(shape: np.ndarray, frequency: np.ndarray, sample_rate: float, num_samples: int) -> np.ndarray:
    """Return waves (T, V), each of its own shape, an index into SHAPES."""
    out = np.empty((num_samples, len(frequency)), np.float32)
    index = np.round(shape).astype(int)
    for one in np.unique(index):
        chosen = index == one
        out[:, chosen] = wave(SHAPES[one], frequency[chosen], sample_rate, num_samples)[0]
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


def _spec(name: str, low: float, high: float, default: float, unit: str, description: str) -> ParameterSpec:
    return ParameterSpec(name=name, min=low, max=high, default=default, unit=unit, description=description)


TWO_OSCILLATORS = Voice(
    name="two_oscillators",
    parameters=(
        *(spec for spec in SAW_MOOG.parameters if spec.name.startswith("note_")),
        _shape("osc1_shape", 3),
        _shape("osc2_shape", 2),
        _spec("osc2_interval", -24, 24, 0.1, "semitones", "from the first oscillator to the second"),
        _spec("osc_mix", 0, 1, 0.5, "", "0 is the first oscillator alone, 1 the second"),
        _spec("noise_level", 0, 1, 0, "", "amplitude of white noise"),
        *(spec for spec in SAW_MOOG.parameters if spec.name.startswith("filter_")),
        _spec("amp_attack", 0, 60, 0.01, "s", "rise time of the level"),
        _spec("amp_decay", 0, 60, 0.1, "s", "time in which the level falls to its sustain"),
        _spec("amp_sustain", 0, 1, 0.7, "", "level that is held"),
        _spec("amp_release", 0, 60, 0.1, "s", "final fall of the level, which ends with the clip"),
    ),
    render=render,
    settings={"drive": 0.5},
    differentiable=render_differentiable,
)
