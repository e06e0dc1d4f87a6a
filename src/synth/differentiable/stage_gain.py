"""The gain of the ladder's stages from their cutoff: compiled for the CPU, torch operations for other devices."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.synth import ladder as generator
from src.synth.differentiable import ladder_kernels as kernels
from src.synth.differentiable.arrays import array, own_array


class StageGain(torch.autograd.Function):
    """phase (V,), octaves (V,), envelope (T, V), lowest and highest phase -> the gain of a stage, (T, V)."""

    @staticmethod
    def forward(ctx: Any, phase: Tensor, octaves: Tensor, envelope: Tensor, lowest: float, highest: float) -> Tensor:
        gain_of = compiled_gain if phase.device.type == "cpu" else gain_in_torch
        gain = gain_of(phase, octaves, envelope, lowest, highest)
        ctx.limits = lowest, highest
        ctx.save_for_backward(phase, octaves, envelope, gain)
        ctx.save_for_forward(phase, octaves, envelope, gain)
        return gain

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        adjoint_of = compiled_adjoint if g.device.type == "cpu" else adjoint_in_torch
        return *adjoint_of(g, *ctx.saved_tensors, *ctx.limits), None, None

    @staticmethod
    def jvp(ctx: Any, d_phase: Tensor, d_octaves: Tensor, d_envelope: Tensor, *_: None) -> Tensor:
        _, octaves, envelope, _ = ctx.saved_tensors
        of_phase, of_exponent = _slopes(*ctx.saved_tensors, *ctx.limits)
        return of_phase * d_phase + of_exponent * (d_octaves * envelope + octaves * d_envelope)


def compiled_gain(phase: Tensor, octaves: Tensor, envelope: Tensor, lowest: float, highest: float) -> Tensor:
    """Return the gain, (T, V), of tensors on the CPU."""
    gain = torch.empty_like(envelope, memory_format=torch.contiguous_format)
    scalar = array(phase).dtype.type
    limits = scalar(lowest), scalar(highest)
    generator.stage_gain(array(phase), array(octaves), array(envelope), *limits, gain.numpy())
    return gain


def compiled_adjoint(
    g: Tensor, phase: Tensor, octaves: Tensor, envelope: Tensor, gain: Tensor, lowest: float, highest: float
) -> tuple[Tensor, ...]:
    """Return the gradients of phase, octaves and envelope from that of the gain, on the CPU."""
    given = [array(one) for one in (phase, octaves, envelope)]
    g_envelope = own_array(g)
    scalar = g_envelope.dtype.type
    g_phase, g_octaves = np.zeros_like(given[0]), np.zeros_like(given[0])
    limits = scalar(lowest), scalar(highest)
    kernels.stage_gain_adjoint(*given, *limits, array(gain), g_envelope, g_phase, g_octaves)
    return tuple(torch.from_numpy(one) for one in (g_phase, g_octaves, g_envelope))


def gain_in_torch(phase: Tensor, octaves: Tensor, envelope: Tensor, lowest: float, highest: float) -> Tensor:
    """Return the gain, (T, V), by the operations of `src.synth.ladder.stage_gain`, in their order.

    It is the generator's to the last bit. A gain that is rounded otherwise detunes a resonance, which shows late in
    its ringing: torch.exp2 and torch.tan moved samples by 5e-5.
    """
    x = 0.5 * (phase * _exp2(octaves * envelope)).clamp(lowest, highest)
    x2 = x * x
    h = x * (945.0 + x2 * (-105.0 + x2)) / (945.0 + x2 * (-420.0 + 15.0 * x2))
    g = 2.0 * h / (1.0 - h * h)
    return g / (1.0 + g)


def adjoint_in_torch(
    g: Tensor, phase: Tensor, octaves: Tensor, envelope: Tensor, gain: Tensor, lowest: float, highest: float
) -> tuple[Tensor, ...]:
    """Return the gradients of phase, octaves and envelope from that of the gain."""
    of_phase, of_exponent = _slopes(phase, octaves, envelope, gain, lowest, highest)
    g_exponent = g * of_exponent
    return (g * of_phase).sum(0), (g_exponent * envelope).sum(0), g_exponent * octaves


def _exp2(x: Tensor) -> Tensor:
    """Return 2^x as `src.synth.ladder.exp2`."""
    e = x * (math.log(2.0) / 32.0)
    power = 1.0 + e * (1.0 + e * (0.5 + e * (1 / 6 + e * (1 / 24 + e * (1 / 120)))))
    for _ in range(5):
        power = power * power
    return power


def _slopes(
    phase: Tensor, octaves: Tensor, envelope: Tensor, gain: Tensor, lowest: float, highest: float
) -> tuple[Tensor, Tensor]:
    """Return d gain / d phase and d gain / d (octaves * envelope), zero where the cutoff is clamped."""
    power = _exp2(octaves * envelope)
    moved = phase * power
    slope = ((1 - gain) ** 2 + gain**2) * ((moved > lowest) & (moved < highest))
    return slope * power, slope * moved * math.log(2.0)
