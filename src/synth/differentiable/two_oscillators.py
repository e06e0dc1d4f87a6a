"""The differentiable twin of the voice of src.synth.two_oscillators."""

from collections.abc import Mapping

import torch
from torch import Tensor

from src.synth.differentiable.arrays import of_kernel
from src.synth.differentiable.envelopes import adsr
from src.synth.differentiable.oscillators import wave
from src.synth.differentiable.saw_moog import apply_filter, note_to_hz
from src.synth.oscillators import SHAPES, noise


def render(
    parameters: Mapping[str, Tensor], sample_rate: float, num_samples: int, drive: float, dtype: torch.dtype
) -> Tensor:
    """Render parameters (B,) each -> (B, T) of `dtype`, on the device of the parameters."""
    device = parameters["note_number"].device
    p = {name: of_kernel(value, torch.float64) for name, value in parameters.items()}
    first = _mixed_shapes(p["osc1_shape"], note_to_hz(p["note_number"]), sample_rate, num_samples, dtype)
    frequency = note_to_hz(p["note_number"] + p["osc2_interval"])
    second = _mixed_shapes(p["osc2_shape"], frequency, sample_rate, num_samples, dtype)
    mix, noise_level = p["osc_mix"].to(dtype), p["noise_level"].to(dtype)
    x = (1 - mix) * first + mix * second + noise_level * torch.from_numpy(noise(num_samples)).to(dtype)[:, None]
    x = apply_filter(x, p, sample_rate, drive)
    attack, decay, release = (p[f"amp_{stage}"] * sample_rate for stage in ("attack", "decay", "release"))
    envelope = adsr(attack, decay, p["amp_sustain"], release, num_samples, dtype=dtype)
    return (x * envelope * (p["note_velocity"] / 127.0).to(dtype)).T.contiguous().to(device)


def _mixed_shapes(shape: Tensor, frequency: Tensor, sample_rate: float, num_samples: int, dtype: torch.dtype) -> Tensor:
    """Return waves (T, V), each of its own shape, an index into SHAPES; the shape has no gradient."""
    index = shape.detach().round().long()
    out = torch.empty(num_samples, len(frequency), dtype=dtype)
    for one in index.unique().tolist():
        chosen = (index == one).nonzero()[:, 0]
        out = out.index_copy(1, chosen, wave(SHAPES[one], frequency[chosen], sample_rate, num_samples, dtype=dtype)[0])
    return out
