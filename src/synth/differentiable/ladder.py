"""The Moog ladder of src.synth.ladder as a torch function with an exact adjoint and tangent."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.synth.differentiable import ladder_kernels as kernels
from src.synth.differentiable.arrays import array, of_kernel, own_array, work_dtype
from src.synth.ladder import MAX_CUTOFF, MIN_CUTOFF_HZ, stage_gain


def ladder(
    x: Tensor,
    cutoff_hz: Tensor,
    resonance: Tensor,
    sample_rate: float,
    drive: float = 0.0,
    octaves: Tensor | None = None,
    envelope: Tensor | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return `x` (T, V), filtered, and the state (4, V) of the stages for the next block, as `src.synth.ladder.ladder`.

    `cutoff_hz`, `resonance` and `octaves` are (V,), `envelope` is (T, V). All of them, `x` and `state` have gradients,
    but `drive` has none. The gradient of the cutoff is zero where the cutoff is clamped. The dtype is that of `x`;
    half precision is computed in float32. Other devices than the CPU work on a copy.
    """
    device, given = x.device, x.dtype
    dtype = work_dtype(x)
    x = of_kernel(x, dtype)
    to_phase = math.pi / sample_rate
    phase = (of_kernel(cutoff_hz, torch.float64) * to_phase).to(dtype)
    octaves = x.new_zeros(x.shape[1]) if octaves is None else of_kernel(octaves, dtype)
    envelope = x.new_zeros(1, x.shape[1]) if envelope is None else of_kernel(envelope, dtype)
    gain = StageGain.apply(phase, octaves, envelope, MIN_CUTOFF_HZ * to_phase, MAX_CUTOFF * math.pi)
    feedback = (4.0 * of_kernel(resonance, torch.float64)).to(dtype)
    state = x.new_zeros(4, x.shape[1]) if state is None else of_kernel(state, dtype)
    y, state = Ladder.apply(x, gain, feedback, state, float(drive))
    return y.to(device, given), state.to(device)


class StageGain(torch.autograd.Function):
    """phase (V,), octaves (V,), envelope (T, V) -> the gain of a stage, (T, V)."""

    @staticmethod
    def forward(ctx: Any, phase: Tensor, octaves: Tensor, envelope: Tensor, lowest: float, highest: float) -> Tensor:
        gain = torch.empty_like(envelope, memory_format=torch.contiguous_format)
        scalar = array(phase).dtype.type
        stage_gain(array(phase), array(octaves), array(envelope), scalar(lowest), scalar(highest), gain.numpy())
        ctx.limits = lowest, highest
        ctx.save_for_backward(phase, octaves, envelope, gain)
        ctx.save_for_forward(phase, octaves, envelope, gain)
        return gain

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        phase, octaves, envelope, gain = (array(one) for one in ctx.saved_tensors)
        limits = (phase.dtype.type(limit) for limit in ctx.limits)
        g_envelope = own_array(g)
        g_phase, g_octaves = np.zeros_like(phase), np.zeros_like(phase)
        kernels.stage_gain_adjoint(phase, octaves, envelope, *limits, gain, g_envelope, g_phase, g_octaves)
        return *(torch.from_numpy(one) for one in (g_phase, g_octaves, g_envelope)), None, None

    @staticmethod
    def jvp(ctx: Any, d_phase: Tensor, d_octaves: Tensor, d_envelope: Tensor, *_: None) -> Tensor:
        base, octaves, envelope, gain = ctx.saved_tensors
        lowest, highest = ctx.limits
        power = torch.exp2(octaves * envelope)
        phase = base * power
        d_exponent = d_octaves * envelope + octaves * d_envelope
        slope = ((1 - gain) ** 2 + gain**2) * ((phase > lowest) & (phase < highest))
        return slope * (d_phase * power + phase * math.log(2.0) * d_exponent)


class Ladder(torch.autograd.Function):
    """x (T, V), gain (T or 1, V), feedback (V,), state (4, V), drive -> y (T, V), the last state."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, feedback: Tensor, state: Tensor, drive: float
    ) -> tuple[Tensor, Tensor]:
        y, last = x.clone(memory_format=torch.contiguous_format), state.clone()
        checkpoints = y.new_empty(-(-len(y) // kernels.CHUNK), *last.shape)
        kernels.filter_in_chunks(y.numpy(), *_settings(gain, feedback, drive), last.numpy(), checkpoints.numpy())
        ctx.drive = drive
        ctx.save_for_backward(x, gain, feedback, checkpoints)
        ctx.save_for_forward(x, gain, feedback, state)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_last: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, feedback, checkpoints = ctx.saved_tensors
        g_x, g_state = own_array(g), own_array(g_last)
        g_gain, g_feedback = np.zeros(gain.shape, g_x.dtype), np.zeros(feedback.shape, g_x.dtype)
        settings = _settings(gain, feedback, ctx.drive)
        kernels.ladder_adjoint(array(x), *settings, array(checkpoints), g_x, g_state, g_gain, g_feedback)
        return *(torch.from_numpy(one) for one in (g_x, g_gain, g_feedback, g_state)), None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, d_gain: Tensor, d_feedback: Tensor, d_state: Tensor, _: None) -> tuple[Tensor, ...]:
        x, gain, feedback, state = ctx.saved_tensors
        dy, d_last = own_array(dx), own_array(d_state)
        tangents = dy, array(d_gain), array(d_feedback), d_last
        kernels.ladder_tangent(array(x), *_settings(gain, feedback, ctx.drive), own_array(state), *tangents)
        return torch.from_numpy(dy), torch.from_numpy(d_last)


def _settings(gain: Tensor, feedback: Tensor, drive: float) -> tuple:
    """Return what every pass of the ladder takes after its input: gain, gain_step, feedback, drive, limit."""
    own = array(gain)
    scalar = own.dtype.type
    return own, int(len(own) > 1), array(feedback), scalar(drive), scalar(3.0 / drive if drive > 0 else np.inf)
