"""The passes of the differentiable ladder on the CPU: tensors around the compiled kernels."""

import numpy as np
import torch
from torch import Tensor

from src.synth.differentiable import ladder_kernels as kernels
from src.synth.differentiable.arrays import array, own_array


def filtered(x: Tensor, gain: Tensor, feedback: Tensor, state: Tensor, drive: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output (T, V), the last state (4, V), and checkpoints for `adjoint`."""
    y, last = x.new_empty(x.shape), state.clone(memory_format=torch.contiguous_format)
    checkpoints = x.new_empty(-(-len(x) // kernels.CHUNK), *last.shape)
    settings = _settings(gain, feedback, drive)
    kernels.filter_in_chunks(array(x), *settings, last.numpy(), y.numpy(), checkpoints.numpy())
    return y, last, checkpoints


def adjoint(
    x: Tensor, gain: Tensor, feedback: Tensor, checkpoints: Tensor, drive: float, g: Tensor, g_last: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradients of x, gain, feedback and state from those of the output and the last state."""
    g_x, g_state = own_array(g), own_array(g_last)
    g_gain, g_feedback = np.zeros(gain.shape, g_x.dtype), np.zeros(feedback.shape, g_x.dtype)
    settings = _settings(gain, feedback, drive)
    kernels.ladder_adjoint(array(x), *settings, array(checkpoints), g_x, g_state, g_gain, g_feedback)
    return tuple(torch.from_numpy(one) for one in (g_x, g_gain, g_feedback, g_state))


def tangent(
    x: Tensor, gain: Tensor, feedback: Tensor, state: Tensor, drive: float,
    dx: Tensor, d_gain: Tensor, d_feedback: Tensor, d_state: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the tangents of the output and the last state from those of x, gain, feedback and state."""
    dy, d_last = own_array(dx), own_array(d_state)
    tangents = dy, array(d_gain), array(d_feedback), d_last
    kernels.ladder_tangent(array(x), *_settings(gain, feedback, drive), own_array(state), *tangents)
    return torch.from_numpy(dy), torch.from_numpy(d_last)


def _settings(gain: Tensor, feedback: Tensor, drive: float) -> tuple:
    """Return what every pass of the ladder takes after its input: gain, gain_step, feedback, drive, limit."""
    own = array(gain)
    scalar = own.dtype.type
    limit = scalar(3.0 / drive if drive > 0 else np.inf)
    return own, int(len(own) > 1), array(feedback), scalar(drive), limit
