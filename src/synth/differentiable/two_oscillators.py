"""The differentiable twin of the voice of src.synth.two_oscillators."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from src.synth.differentiable.arrays import of_kernel
from src.synth.differentiable.envelopes import adsr
from src.synth.differentiable.oscillators import vibrato_wave, wave
from src.synth.differentiable.saw_moog import apply_filter, is_differentiated, note_to_hz
from src.synth.oscillators import SHAPES, noise


def render(
    parameters: Mapping[str, Tensor], sample_rate: float, num_samples: int, drive: float, dtype: torch.dtype
) -> Tensor:
    """Render parameters (B,) each -> (B, T) of `dtype`, on the device of the parameters."""
    device = parameters["note_number"].device
    p = {name: of_kernel(value, torch.float64) for name, value in parameters.items()}
    octaves, sweep, lfo = p["lfo_pitch_depth"] / 12.0, p["lfo_cutoff_depth"], None
    if any(depth.any() or is_differentiated(depth) for depth in (octaves, sweep)):
        time = torch.arange(num_samples, dtype=torch.float64)[:, None] / sample_rate
        lfo = torch.sin(2.0 * math.pi * p["lfo_rate"] * time)
    rest = octaves, lfo, sample_rate, num_samples, dtype
    first = _mixed_shapes(p["osc1_shape"], note_to_hz(p["note_number"]), *rest)
    second = _mixed_shapes(p["osc2_shape"], note_to_hz(p["note_number"] + p["osc2_interval"]), *rest)
    mix, noise_level = p["osc_mix"].to(dtype), p["noise_level"].to(dtype)
    x = (1 - mix) * first + mix * second + noise_level * torch.from_numpy(noise(num_samples)).to(dtype)[:, None]
    x = apply_filter(x, p, sample_rate, drive, None if lfo is None else (sweep * lfo).to(dtype))
    attack, decay, release = (p[f"amp_{stage}"] * sample_rate for stage in ("attack", "decay", "release"))
    envelope = adsr(attack, decay, p["amp_sustain"], release, num_samples, dtype=dtype)
    return (x * envelope * (p["note_velocity"] / 127.0).to(dtype)).T.contiguous().to(device)


def _mixed_shapes(
    shape: Tensor,
    frequency: Tensor,
    octaves: Tensor,
    lfo: Tensor | None,
    sample_rate: float,
    num_samples: int,
    dtype: torch.dtype,
) -> Tensor:
    """Return waves (T, V), each of its own shape, an index into SHAPES; the shape has no gradient."""
    index = shape.detach().round().long()
    out = torch.empty(num_samples, len(frequency), dtype=dtype)
    for one in index.unique().tolist():
        chosen = (index == one).nonzero()[:, 0]
        if lfo is None:
            waves, _ = wave(SHAPES[one], frequency[chosen], sample_rate, num_samples, dtype=dtype)
        else:
            vibrato = octaves[chosen], lfo[:, chosen]
            waves = vibrato_wave(SHAPES[one], frequency[chosen], *vibrato, sample_rate, dtype)
        out = out.index_copy(1, chosen, waves)
    return out
