"""The Moog ladder of src.synth.ladder as a torch function with an exact adjoint and tangent."""

import functools
import importlib.util
import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.synth.differentiable import ladder_cpu
from src.synth.differentiable.arrays import CPU, of_kernel, work_dtype
from src.synth.differentiable.stage_gain import StageGain
from src.synth.ladder import MAX_CUTOFF, MIN_CUTOFF_HZ


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
    half precision is computed in float32. CUDA has kernels of its own if triton is installed; float64 and other devices
    work on a copy on the CPU.
    """
    device, given, dtype = x.device, x.dtype, work_dtype(x)
    passes = passes_for(device, dtype)
    placed = functools.partial(of_kernel, device=CPU if passes is ladder_cpu else device)
    x = placed(x, dtype)
    to_phase = math.pi / sample_rate
    phase = (placed(cutoff_hz, torch.float64) * to_phase).to(dtype)
    octaves = x.new_zeros(x.shape[1]) if octaves is None else placed(octaves, dtype)
    envelope = x.new_zeros(1, x.shape[1]) if envelope is None else placed(envelope, dtype)
    gain = StageGain.apply(phase, octaves, envelope, MIN_CUTOFF_HZ * to_phase, MAX_CUTOFF * math.pi)
    feedback = (4.0 * placed(resonance, torch.float64)).to(dtype)
    state = x.new_zeros(4, x.shape[1]) if state is None else placed(state, dtype)
    y, state = Ladder.apply(x, gain, feedback, state, float(drive))
    return y.to(device, given), state.to(device)


def passes_for(device: torch.device, dtype: torch.dtype) -> ModuleType:
    """Return the module whose passes filter tensors on a device: `ladder_cuda`, or `ladder_cpu` on a copy."""
    if device.type == "cuda" and dtype == torch.float32 and importlib.util.find_spec("triton"):
        from src.synth.differentiable import ladder_cuda

        return ladder_cuda
    return ladder_cpu


class Ladder(torch.autograd.Function):
    """x (T, V), gain (T or 1, V), feedback (V,), state (4, V), drive -> y (T, V), the last state."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, feedback: Tensor, state: Tensor, drive: float
    ) -> tuple[Tensor, Tensor]:
        ctx.passes, ctx.drive = passes_for(x.device, x.dtype), drive
        y, last, checkpoints = ctx.passes.filtered(x, gain, feedback, state, drive)
        ctx.save_for_backward(x, gain, feedback, checkpoints)
        ctx.save_for_forward(x, gain, feedback, state)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_last: Tensor) -> tuple[Tensor | None, ...]:
        return *ctx.passes.adjoint(*ctx.saved_tensors, ctx.drive, g, g_last), None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, d_gain: Tensor, d_feedback: Tensor, d_state: Tensor, _: None) -> tuple[Tensor, ...]:
        return ctx.passes.tangent(*ctx.saved_tensors, ctx.drive, dx, d_gain, d_feedback, d_state)
