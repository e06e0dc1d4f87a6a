"""The differentiable twin of the voice of src.synth.saw_moog."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.autograd import forward_ad

from src.synth.differentiable.arrays import of_kernel
from src.synth.differentiable.envelopes import adsr, apply_decay
from src.synth.differentiable.ladder import ladder
from src.synth.differentiable.oscillators import naive_saw, wave


def note_to_hz(note_number: Tensor) -> Tensor:
    """Return the equal-tempered frequency of MIDI notes, 440 * 2^((n - 69) / 12) Hz."""
    return 440.0 * torch.exp2((note_number - 69.0) / 12.0)


def render(
    parameters: Mapping[str, Tensor],
    sample_rate: float,
    num_samples: int,
    oscillator: str,
    drive: float,
    dtype: torch.dtype,
) -> Tensor:
    """Render parameters (B,) each -> (B, T) of `dtype`, on the device of the parameters, see `src.synth.saw_moog`."""
    device = parameters["note_number"].device
    p = {name: of_kernel(value, torch.float64) for name, value in parameters.items()}
    frequency = note_to_hz(p["note_number"])
    if oscillator == "naive":
        x = naive_saw(frequency, sample_rate, num_samples, dtype)
    else:
        x, _ = wave("saw", frequency, sample_rate, num_samples, dtype=dtype)
    x = apply_filter(x, p, sample_rate, drive)
    x, _ = apply_decay(x, p["note_velocity"] / 127.0, 10.0 ** p["log10_decay_time"] * sample_rate)
    return x.T.contiguous().to(device)


def apply_filter(
    x: Tensor, p: Mapping[str, Tensor], sample_rate: float, drive: float, added: Tensor | None = None
) -> Tensor:
    """Return `x` (T, V) through the ladder and its envelope where `filter_enabled` says so.

    `added` (T, V), in octaves, moves the cutoff as well.
    """
    enabled = p["filter_enabled"] >= 0.5
    if enabled.any():
        filtered = _filtered(x, p, sample_rate, drive, added)
        return filtered if enabled.all() else torch.where(enabled, filtered, x)
    return x


def _filtered(x: Tensor, p: Mapping[str, Tensor], sample_rate: float, drive: float, added: Tensor | None) -> Tensor:
    octaves, envelope = None, None
    amount = p["filter_env_amount"]
    if amount.any() or is_differentiated(amount):
        attack, decay, release = (p[f"filter_env_{stage}"] * sample_rate for stage in ("attack", "decay", "release"))
        octaves, envelope = amount, adsr(attack, decay, p["filter_env_sustain"], release, len(x), dtype=x.dtype)
    if added is not None:
        envelope = added if envelope is None else amount.to(x.dtype) * envelope + added
        octaves = torch.ones_like(amount)
    return ladder(x, p["filter_cutoff"], p["filter_resonance"], sample_rate, drive, octaves, envelope)[0]


def is_differentiated(tensor: Tensor) -> bool:
    """Return whether a tensor has a gradient, or a tangent in forward mode."""
    return tensor.requires_grad or forward_ad.unpack_dual(tensor).tangent is not None
