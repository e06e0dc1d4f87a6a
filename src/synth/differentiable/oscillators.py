"""The oscillators of src.synth.oscillators as torch functions, differentiable in pitch and phase."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.synth import oscillators
from src.synth.compiled import compiled
from src.synth.differentiable.arrays import array, of_kernel
from src.synth.oscillators import NEXT, TABLE_SIZE, read_table, wave_tables


def wave(
    shape: str,
    frequency: Tensor,
    sample_rate: float,
    num_samples: int,
    state: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Return band-limited waves (T, V) and the state (V,) for the next block, as `src.synth.oscillators.wave`.

    `frequency` (V,) in Hz and the state, the phase in periods, have gradients: the exact ones of the interpolated
    wavetable. That a partial appears or disappears at half the sample rate has none. `dtype` is float32 or float64. The
    next state, float64, is on the CPU.
    """
    increment = of_kernel(frequency, torch.float64) / sample_rate
    phase = torch.zeros_like(increment) if state is None else of_kernel(state, torch.float64)
    tables, row = wave_tables(shape, array(increment))
    tables = tables.astype(np.float64 if dtype == torch.float64 else np.float32)
    out, phase = _Wave.apply(increment, phase, tables, row, num_samples)
    return out.to(frequency.device), phase


def vibrato_wave(
    shape: str, frequency: Tensor, octaves: Tensor, modulation: Tensor, sample_rate: float, dtype: torch.dtype
) -> Tensor:
    """Return band-limited waves (T, V) from phase 0, with the frequency moved by 2^(octaves * modulation).

    `frequency` and `octaves` (V,) and `modulation` (T, V) have gradients, as those of `wave`.
    """
    frequency, octaves, modulation = (of_kernel(one, torch.float64) for one in (frequency, octaves, modulation))
    increment = frequency / sample_rate * torch.exp2(octaves * modulation)
    phase = torch.cat([torch.zeros_like(increment[:1]), increment[:-1]]).cumsum(dim=0)
    tables, row = wave_tables(shape, array(frequency / sample_rate * torch.exp2(octaves)))
    return _ReadTable.apply(phase, tables.astype(np.float64 if dtype == torch.float64 else np.float32), row)


def naive_saw(frequency: Tensor, sample_rate: float, num_samples: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the naive saw of `src.synth.oscillators.saw`, (T, V), from phase 0.

    It has no gradient: its slope is that of the ramps, and without the jumps it would be wrong.
    """
    out, _ = oscillators.saw(array(of_kernel(frequency, torch.float64)), sample_rate, num_samples, naive=True)
    return torch.from_numpy(out).to(frequency.device, dtype)


@compiled
def _read_table_adjoint(phase, increment, tables, row, g, phase_grad, increment_grad):  # pragma: no cover - compiled
    for t in range(g.shape[0]):
        for v in range(increment.shape[0]):
            index = np.uint32(phase[v] * TABLE_SIZE)
            slope = (tables[row[v], index + NEXT] - tables[row[v], index]) * TABLE_SIZE
            phase_grad[v] += g[t, v] * slope
            increment_grad[v] += t * (g[t, v] * slope)
            advanced = phase[v] + increment[v]
            phase[v] = advanced - np.floor(advanced)


@compiled
def _read_table_tangent(phase, increment, tables, row, d_phase, d_increment, out):  # pragma: no cover - compiled
    for t in range(out.shape[0]):
        for v in range(increment.shape[0]):
            index = np.uint32(phase[v] * TABLE_SIZE)
            slope = (tables[row[v], index + NEXT] - tables[row[v], index]) * TABLE_SIZE
            out[t, v] = slope * (d_phase[v] + t * d_increment[v])
            advanced = phase[v] + increment[v]
            phase[v] = advanced - np.floor(advanced)


class _Wave(torch.autograd.Function):
    """increment (V,), phase (V,), both float64, tables, rows (V,), T -> wave (T, V), the next phase."""

    @staticmethod
    def forward(
        ctx: Any, increment: Tensor, phase: Tensor, tables: np.ndarray, row: np.ndarray, num_samples: int
    ) -> tuple[Tensor, Tensor]:
        own, last = array(increment), array(phase).copy()
        if (own == own[0]).all() and (last == last[0]).all():  # a fixed pitch: one voice is enough
            column = np.empty((num_samples, 1), tables.dtype)
            read_table(last[:1], own[None, :1], 0, tables, row[:1], column)
            out, last[:] = np.repeat(column, len(own), axis=1), last[0]
        else:
            out = np.empty((num_samples, len(own)), tables.dtype)
            read_table(last, own[None], 0, tables, row, out)
        ctx.tables, ctx.row, ctx.num_samples = tables, row, num_samples
        ctx.save_for_backward(increment, phase)
        ctx.save_for_forward(increment, phase)
        return torch.from_numpy(out), torch.from_numpy(last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, g_last: Tensor) -> tuple[Tensor | None, ...]:
        increment, phase = (array(one) for one in ctx.saved_tensors)
        g_phase = array(g_last).copy()
        g_increment = ctx.num_samples * g_phase
        _read_table_adjoint(phase.copy(), increment, ctx.tables, ctx.row, array(g), g_phase, g_increment)
        return torch.from_numpy(g_increment), torch.from_numpy(g_phase), None, None, None

    @staticmethod
    def jvp(ctx: Any, d_increment: Tensor, d_phase: Tensor, *_: None) -> tuple[Tensor, Tensor]:
        increment, phase = (array(one) for one in ctx.saved_tensors)
        out = np.empty((ctx.num_samples, len(increment)), ctx.tables.dtype)
        tangents = array(d_phase), array(d_increment)
        _read_table_tangent(phase.copy(), increment, ctx.tables, ctx.row, *tangents, out)
        return torch.from_numpy(out), d_phase + ctx.num_samples * d_increment


@compiled
def _read_at(phase, tables, row, out, slope):  # pragma: no cover - compiled
    for t in range(out.shape[0]):
        for v in range(out.shape[1]):
            position = (phase[t, v] - np.floor(phase[t, v])) * TABLE_SIZE
            index = np.uint32(position)
            low = tables[row[v], index]
            rise = tables[row[v], index + NEXT] - low
            out[t, v] = low + tables.dtype.type(position - index) * rise
            slope[t, v] = rise * TABLE_SIZE


class _ReadTable(torch.autograd.Function):
    """phase (T, V) float64, in periods from 0 on, tables, rows (V,) -> wave (T, V)."""

    @staticmethod
    def forward(ctx: Any, phase: Tensor, tables: np.ndarray, row: np.ndarray) -> Tensor:
        out, slope = np.empty((2, *phase.shape), tables.dtype)
        _read_at(array(phase), tables, row, out, slope)
        ctx.slope = torch.from_numpy(slope)
        return torch.from_numpy(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return (g * ctx.slope).double(), None, None

    @staticmethod
    def jvp(ctx: Any, d_phase: Tensor, *_: None) -> Tensor:
        return (ctx.slope * d_phase).to(ctx.slope.dtype)
