"""The passes of src.synth.differentiable.ladder_cpu on CUDA, as Triton kernels with one lane for each voice.

Importing this module needs triton, so src.synth.differentiable.ladder imports it only for tensors on CUDA. A lane keeps
its filter in registers and loops over time. Neighbouring lanes read neighbouring voices of (time, voices) arrays.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CHUNK = 32  # samples between checkpoints: the 16 KB of states that a program computes again fit into its cache
LANES = 32  # voices in one program, a single warp, so that few voices already use several multiprocessors
LOADS_AHEAD = tl.constexpr(4)  # samples that are loaded before the recursion needs them


@triton.jit
def _load4(array, voices, v, inside):
    s1 = tl.load(array + v, mask=inside, other=0.0)
    s2 = tl.load(array + voices + v, mask=inside, other=0.0)
    s3 = tl.load(array + 2 * voices + v, mask=inside, other=0.0)
    s4 = tl.load(array + 3 * voices + v, mask=inside, other=0.0)
    return s1, s2, s3, s4


@triton.jit
def _store4(array, voices, v, inside, s1, s2, s3, s4):
    tl.store(array + v, s1, mask=inside)
    tl.store(array + voices + v, s2, mask=inside)
    tl.store(array + 2 * voices + v, s3, mask=inside)
    tl.store(array + 3 * voices + v, s4, mask=inside)


@triton.jit
def _step(x, a, k, s1, s2, s3, s4, drive, limit):
    """Solve one sample. Stage i has input minus state r_i, output s_i + a r_i and next state s_i + 2 a r_i."""
    before = s4 + a * (s3 + a * (s2 + a * s1))
    solved = 1.0 / (1.0 + k * (a * a) * (a * a))
    u0 = (x - k * (1.0 - a) * before) * solved
    u = tl.minimum(tl.maximum(u0, -limit), limit)
    z = (drive * u) * (drive * u)
    part = 1.0 / (27.0 + 9.0 * z)
    slope = 3.0 * (9.0 - z) * part  # its square is the slope of the saturator; 0 where it is clamped
    r1 = u * (27.0 + z) * part - s1
    r2 = s1 + a * r1 - s2
    r3 = s2 + a * r2 - s3
    r4 = s3 + a * r3 - s4
    return before, solved, u0, slope * slope, r1, r2, r3, r4


@triton.jit
def _next(a, s1, s2, s3, s4, r1, r2, r3, r4):
    a = a + a
    return s1 + a * r1, s2 + a * r2, s3 + a * r3, s4 + a * r4


@triton.jit
def _filter(
    x, gain, feedback, s, y, last, checkpoints,
    drive, limit, samples: tl.int64, voices: tl.int64, gain_step: tl.int64, CHUNK: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    v = tl.program_id(0) * LANES + tl.arange(0, LANES)
    inside = v < voices
    k = tl.load(feedback + v, mask=inside, other=0.0)
    s1, s2, s3, s4 = _load4(s, voices, v, inside)
    for start in range(0, samples, CHUNK):
        _store4(checkpoints + start // CHUNK * 4 * voices, voices, v, inside, s1, s2, s3, s4)
        for t in tl.range(start, min(start + CHUNK, samples), num_stages=LOADS_AHEAD):
            a = tl.load(gain + t * gain_step + v, mask=inside, other=0.0)
            sample = tl.load(x + t * voices + v, mask=inside, other=0.0)
            _, _, _, _, r1, r2, r3, r4 = _step(sample, a, k, s1, s2, s3, s4, drive, limit)
            tl.store(y + t * voices + v, s4 + a * r4, mask=inside)
            s1, s2, s3, s4 = _next(a, s1, s2, s3, s4, r1, r2, r3, r4)
    _store4(last, voices, v, inside, s1, s2, s3, s4)


@triton.jit
def _adjoint(
    x, gain, feedback, checkpoints, states, g, g_last, g_x, g_gain, g_feedback, g_state,
    drive, limit, samples: tl.int64, voices: tl.int64, gain_step: tl.int64, CHUNK: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    v = tl.program_id(0) * LANES + tl.arange(0, LANES)
    inside = v < voices
    k = tl.load(feedback + v, mask=inside, other=0.0)
    e1, e2, e3, e4 = _load4(g_last, voices, v, inside)
    gk = k * 0.0
    chunks = (samples + CHUNK - 1) // CHUNK
    for later in range(0, chunks):
        start = (chunks - 1 - later) * CHUNK
        count = min(samples - start, CHUNK)
        s1, s2, s3, s4 = _load4(checkpoints + start // CHUNK * 4 * voices, voices, v, inside)
        for i in tl.range(0, count, num_stages=LOADS_AHEAD):
            _store4(states + i * 4 * voices, voices, v, inside, s1, s2, s3, s4)
            a = tl.load(gain + (start + i) * gain_step + v, mask=inside, other=0.0)
            sample = tl.load(x + (start + i) * voices + v, mask=inside, other=0.0)
            _, _, _, _, r1, r2, r3, r4 = _step(sample, a, k, s1, s2, s3, s4, drive, limit)
            s1, s2, s3, s4 = _next(a, s1, s2, s3, s4, r1, r2, r3, r4)
        tl.debug_barrier()  # the loads below run ahead, but not of these stores
        for back in tl.range(0, count, num_stages=LOADS_AHEAD):
            i = count - 1 - back
            t = start + i
            s1, s2, s3, s4 = _load4(states + i * 4 * voices, voices, v, inside)
            a = tl.load(gain + t * gain_step + v, mask=inside, other=0.0)
            sample = tl.load(x + t * voices + v, mask=inside, other=0.0)
            gy = tl.load(g + t * voices + v, mask=inside, other=0.0)
            before, solved, u0, slope, r1, r2, r3, r4 = _step(sample, a, k, s1, s2, s3, s4, drive, limit)
            # the four stages, last to first: gd_i is the gradient of a r_i
            gd4 = gy + 2.0 * e4
            gd3 = a * gd4 + 2.0 * e3
            gd2 = a * gd3 + 2.0 * e2
            gd1 = a * gd2 + 2.0 * e1
            # the saturator and the solved loop
            gu = a * gd1 * slope * solved
            gh = -k * gu * (1.0 - a)
            a3 = a * a * a
            ga = gd1 * r1 + gd2 * r2 + gd3 * r3 + gd4 * r4 + 4.0 * a3 * u0 * -k * gu
            ga += gh * (s3 + a * (2.0 * s2 + 3.0 * a * s1)) + k * gu * before
            gk -= gu * ((1.0 - a) * before + a3 * a * u0)
            e4 += gy - a * gd4 + gh
            e3 += a * (gd4 - gd3 + gh)
            e2 += a * (gd3 - gd2 + a * gh)
            e1 += a * (gd2 - gd1 + a * a * gh)
            tl.store(g_x + t * voices + v, gu, mask=inside)
            tl.store(g_gain + t * voices + v, ga, mask=inside)
        tl.debug_barrier()  # the next chunk overwrites the states
    tl.store(g_feedback + v, gk, mask=inside)
    _store4(g_state, voices, v, inside, e1, e2, e3, e4)


@triton.jit
def _tangent(
    x, gain, feedback, s, dx, dgain, dfeedback, ds, dy, dlast,
    drive, limit, samples: tl.int64, voices: tl.int64, gain_step: tl.int64, CHUNK: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    v = tl.program_id(0) * LANES + tl.arange(0, LANES)
    inside = v < voices
    k, dk = tl.load(feedback + v, mask=inside, other=0.0), tl.load(dfeedback + v, mask=inside, other=0.0)
    s1, s2, s3, s4 = _load4(s, voices, v, inside)
    ds1, ds2, ds3, ds4 = _load4(ds, voices, v, inside)
    for t in tl.range(0, samples, num_stages=LOADS_AHEAD):
        a = tl.load(gain + t * gain_step + v, mask=inside, other=0.0)
        da = tl.load(dgain + t * gain_step + v, mask=inside, other=0.0)
        sample = tl.load(x + t * voices + v, mask=inside, other=0.0)
        du = tl.load(dx + t * voices + v, mask=inside, other=0.0)
        before, solved, u0, slope, r1, r2, r3, r4 = _step(sample, a, k, s1, s2, s3, s4, drive, limit)
        dbefore = ds4 + a * (ds3 + a * (ds2 + a * ds1)) + da * (s3 + a * (2.0 * s2 + 3.0 * a * s1))
        a3 = a * a * a
        du -= dk * (1.0 - a) * before + k * ((1.0 - a) * dbefore - da * before) + u0 * (dk * a + 4.0 * k * da) * a3
        dr1 = du * solved * slope - ds1
        dd1 = da * r1 + a * dr1
        dd2 = da * r2 + a * (ds1 + dd1 - ds2)
        dd3 = da * r3 + a * (ds2 + dd2 - ds3)
        dd4 = da * r4 + a * (ds3 + dd3 - ds4)
        tl.store(dy + t * voices + v, ds4 + dd4, mask=inside)
        ds1, ds2, ds3, ds4 = ds1 + 2.0 * dd1, ds2 + 2.0 * dd2, ds3 + 2.0 * dd3, ds4 + 2.0 * dd4
        s1, s2, s3, s4 = _next(a, s1, s2, s3, s4, r1, r2, r3, r4)
    _store4(dlast, voices, v, inside, ds1, ds2, ds3, ds4)


def _run(kernel: Any, drive: float, x: Tensor, gain: Tensor, *others: Tensor) -> None:
    """Run a kernel on x (T, V), gain (T or 1, V) and its other arrays, among them new ones that it fills."""
    samples, voices = x.shape
    limit = 3.0 / drive if drive > 0 else math.inf
    arrays = [one.contiguous() for one in (x, gain, *others)]
    sizes = samples, voices, voices if len(gain) > 1 else 0
    with torch.cuda.device(x.get_device()):  # of several, the one that has the arrays
        kernel[(triton.cdiv(voices, LANES),)](*arrays, drive, limit, *sizes, CHUNK, LANES, num_warps=1)


def filtered(x: Tensor, gain: Tensor, feedback: Tensor, state: Tensor, drive: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output (T, V), the last state (4, V), and checkpoints for `adjoint`."""
    y, last = x.new_empty(x.shape), x.new_empty(state.shape)
    checkpoints = x.new_empty(-(-len(x) // CHUNK), *state.shape)
    _run(_filter, drive, x, gain, feedback, state, y, last, checkpoints)
    return y, last, checkpoints


def adjoint(
    x: Tensor, gain: Tensor, feedback: Tensor, checkpoints: Tensor, drive: float, g: Tensor, g_last: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, gain, feedback and state from those of the output and the last state."""
    states = x.new_empty(CHUNK, *g_last.shape)
    found = x.new_empty(x.shape), x.new_empty(x.shape), x.new_empty(feedback.shape), x.new_empty(g_last.shape)
    _run(_adjoint, drive, x, gain, feedback, checkpoints, states, g, g_last, *found)
    g_x, g_gain, g_feedback, g_state = found
    return g_x, g_gain.sum_to_size(gain.shape), g_feedback, g_state


def tangent(
    x: Tensor, gain: Tensor, feedback: Tensor, state: Tensor, drive: float, *tangents: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the tangents of the output and the last state from those of x, gain, feedback and state."""
    dy, dlast = x.new_empty(x.shape), x.new_empty(state.shape)
    _run(_tangent, drive, x, gain, feedback, state, *tangents, dy, dlast)
    return dy, dlast
