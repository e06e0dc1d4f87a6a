"""Compiled passes of the differentiable ladder: forward with checkpoints, exact adjoint, and tangent.

The adjoint needs the states at every sample. Storing all of them is bound by memory, so the forward pass keeps the
state at the start of each chunk, and the backward pass computes the states of one chunk again. Each loop over voices
runs in SIMD lanes: arrays are (time, voices), everything between is a scalar, and all sums are read before any is
written.
"""

import math

import numpy as np

from src.synth.compiled import compiled, compiled_fused
from src.synth.ladder import exp2, filter_block

CHUNK = 128  # samples between checkpoints: the states of 128 voices and one chunk fit into a core's cache
_ONE, _TWO, _THREE, _FOUR, _NINE, _27 = (np.float32(value) for value in (1, 2, 3, 4, 9, 27))
_LN_2 = np.float32(math.log(2.0))
_TINY = np.float32(1e-30)  # an adjoint below this is set to zero, since denormals would be slow


@compiled
def filter_in_chunks(x, gain, gain_step, feedback, drive, limit, s, y, checkpoints):  # pragma: no cover - compiled
    """Filter x (T, V) into y from state s (4, V), and store the state before each chunk in checkpoints (C, 4, V)."""
    for chunk in range(checkpoints.shape[0]):
        start = chunk * CHUNK
        checkpoints[chunk] = s
        part = y[start : start + CHUNK]
        part[:] = x[start : start + CHUNK]  # `filter_block` works in place; a chunk is still in the cache when it does
        filter_block(part, gain[start * gain_step :], gain_step, feedback, drive, limit, s)


@compiled
def _store_states(x, gain, gain_step, feedback, drive, limit, s, states):  # pragma: no cover - compiled
    """Fill states (4, T, V) with the state before each sample: the recursion of `filter_block`, without its output."""
    for t in range(x.shape[0]):
        for v in range(x.shape[1]):
            a = gain[t * gain_step, v]
            k = feedback[v]
            s1, s2, s3, s4 = s[0, v], s[1, v], s[2, v], s[3, v]
            held = (_ONE - a) * (s4 + a * (s3 + a * (s2 + a * s1)))
            u = (x[t, v] - k * held) / (_ONE + k * (a * a) * (a * a))
            u = u if u < limit else limit
            u = u if u > -limit else -limit
            z = (drive * u) * (drive * u)
            u = u * (_27 + z) / (_27 + _NINE * z)
            d1 = a * (u - s1)
            d2 = a * (s1 + d1 - s2)
            d3 = a * (s2 + d2 - s3)
            d4 = a * (s3 + d3 - s4)
            states[0, t, v], states[1, t, v], states[2, t, v], states[3, t, v] = s1, s2, s3, s4
            s[0, v] = s1 + d1 + d1
            s[1, v] = s2 + d2 + d2
            s[2, v] = s3 + d3 + d3
            s[3, v] = s4 + d4 + d4


@compiled_fused
def _adjoint_of_chunk(
    x, gain, gain_step, feedback, drive, limit, states, backwards, g, e, gain_grad, feedback_grad
):  # pragma: no cover - compiled
    for t in backwards[-x.shape[0] :]:
        for v in range(x.shape[1]):
            a = gain[t * gain_step, v]
            k = feedback[v]
            s1, s2, s3, s4 = states[0, t, v], states[1, t, v], states[2, t, v], states[3, t, v]
            e1, e2, e3, e4 = e[0, v], e[1, v], e[2, v], e[3, v]
            gy = g[t, v]
            sum_a, sum_k = gain_grad[t * gain_step, v], feedback_grad[v]
            # the forward step again
            rest = _ONE - a
            a2 = a * a
            before = s4 + a * (s3 + a * (s2 + a * s1))
            held = rest * before
            solved = _ONE / (_ONE + k * a2 * a2)
            u0 = (x[t, v] - k * held) * solved
            u = u0 if u0 < limit else limit
            u = u if u > -limit else -limit
            z = (drive * u) * (drive * u)
            part = _ONE / (_27 + _NINE * z)
            w = u * (_27 + z) * part
            slope = _THREE * (_NINE - z) * part
            slope = slope * slope  # of the saturator; 0 where it is clamped
            y1 = s1 + a * (w - s1)
            y2 = s2 + a * (y1 - s2)
            y3 = s3 + a * (y2 - s3)
            # the four stages, last to first: d = a (in - s), y = s + d, next s = s + 2 d
            gd = gy + _TWO * e4
            ga = gd * (y3 - s4)
            gs4 = gy + e4 - a * gd
            gy = a * gd
            gd = gy + _TWO * e3
            ga += gd * (y2 - s3)
            gs3 = gy + e3 - a * gd
            gy = a * gd
            gd = gy + _TWO * e2
            ga += gd * (y1 - s2)
            gs2 = gy + e2 - a * gd
            gy = a * gd
            gd = gy + _TWO * e1
            ga += gd * (w - s1)
            gs1 = gy + e1 - a * gd
            # the saturator and the solved loop
            gu = a * gd * slope * solved
            gh = -k * gu
            ga += gh * (rest * (s3 + a * (_TWO * s2 + _THREE * a * s1)) - before + _FOUR * a2 * a * u0)
            gk = -gu * (held + a2 * a2 * u0)
            through = gh * rest
            gs4 += through
            gs3 += through * a
            gs2 += through * a2
            gs1 += through * a2 * a
            e[0, v] = gs1 if abs(gs1) > _TINY else gs1 * np.float32(0)
            e[1, v] = gs2 if abs(gs2) > _TINY else gs2 * np.float32(0)
            e[2, v] = gs3 if abs(gs3) > _TINY else gs3 * np.float32(0)
            e[3, v] = gs4 if abs(gs4) > _TINY else gs4 * np.float32(0)
            g[t, v] = gu
            gain_grad[t * gain_step, v] = sum_a + ga
            feedback_grad[v] = sum_k + gk


@compiled
def ladder_adjoint(
    x, gain, gain_step, feedback, drive, limit, checkpoints, g, e, gain_grad, feedback_grad
):  # pragma: no cover - compiled
    """Turn g (T, V) from the output's gradient into that of x, and e (4, V) from the last state's into the first's.

    Add to gain_grad (the shape of gain) and feedback_grad (V,).
    """
    s = np.empty((4, x.shape[1]), x.dtype)
    states = np.empty((4, CHUNK, x.shape[1]), x.dtype)
    backwards = np.arange(CHUNK)[::-1].copy()  # times from an array, as no SIMD lanes come of a loop that counts down
    for chunk in range(checkpoints.shape[0] - 1, -1, -1):
        start = chunk * CHUNK
        part, out = x[start : start + CHUNK], g[start : start + CHUNK]
        part_gain, part_gain_grad = gain[start * gain_step :], gain_grad[start * gain_step :]
        s[:] = checkpoints[chunk]
        _store_states(part, part_gain, gain_step, feedback, drive, limit, s, states)
        _adjoint_of_chunk(
            part, part_gain, gain_step, feedback, drive, limit, states, backwards, out, e, part_gain_grad, feedback_grad
        )


@compiled_fused
def ladder_tangent(
    x, gain, gain_step, feedback, drive, limit, s, dx, dgain, dfeedback, ds
):  # pragma: no cover - compiled
    """Turn the tangent dx (T, V) of x into that of the output, and advance the states s and their tangents ds."""
    for t in range(x.shape[0]):
        for v in range(x.shape[1]):
            a, da = gain[t * gain_step, v], dgain[t * gain_step, v]
            k, dk = feedback[v], dfeedback[v]
            s1, s2, s3, s4 = s[0, v], s[1, v], s[2, v], s[3, v]
            ds1, ds2, ds3, ds4 = ds[0, v], ds[1, v], ds[2, v], ds[3, v]
            rest = _ONE - a
            a2 = a * a
            before = s4 + a * (s3 + a * (s2 + a * s1))
            dbefore = ds4 + a * (ds3 + a * (ds2 + a * ds1)) + da * (s3 + a * (_TWO * s2 + _THREE * a * s1))
            held = rest * before
            dheld = rest * dbefore - da * before
            solved = _ONE / (_ONE + k * a2 * a2)
            u0 = (x[t, v] - k * held) * solved
            du = (dx[t, v] - dk * held - k * dheld - u0 * (dk * a2 * a2 + _FOUR * k * a2 * a * da)) * solved
            u = u0 if u0 < limit else limit
            u = u if u > -limit else -limit
            z = (drive * u) * (drive * u)
            part = _ONE / (_27 + _NINE * z)
            y = u * (_27 + z) * part
            slope = _THREE * (_NINE - z) * part
            dy = du * slope * slope
            d, dd = a * (y - s1), da * (y - s1) + a * (dy - ds1)
            y, dy = s1 + d, ds1 + dd
            s[0, v], ds[0, v] = y + d, dy + dd
            d, dd = a * (y - s2), da * (y - s2) + a * (dy - ds2)
            y, dy = s2 + d, ds2 + dd
            s[1, v], ds[1, v] = y + d, dy + dd
            d, dd = a * (y - s3), da * (y - s3) + a * (dy - ds3)
            y, dy = s3 + d, ds3 + dd
            s[2, v], ds[2, v] = y + d, dy + dd
            d, dd = a * (y - s4), da * (y - s4) + a * (dy - ds4)
            y, dy = s4 + d, ds4 + dd
            s[3, v], ds[3, v] = y + d, dy + dd
            dx[t, v] = dy


@compiled
def stage_gain_adjoint(
    cutoff, octaves, envelope, lowest, highest, gain, g, cutoff_grad, octaves_grad
):  # pragma: no cover - compiled
    """Turn g (T, V) from the gradient of the gain into that of the envelope, and add to those of cutoff and octaves.

    With a = g / (1 + g) and g = tan(phase), da / dphase = (1 - a)^2 + a^2. It is zero where the cutoff is clamped.
    """
    for t in range(envelope.shape[0]):
        for v in range(envelope.shape[1]):
            p = exp2(octaves[v] * envelope[t, v])
            phase = cutoff[v] * p
            a = gain[t, v]
            rest = _ONE - a
            g_phase = g[t, v] * (rest * rest + a * a)
            g_phase = g_phase if phase > lowest else g_phase * np.float32(0)
            g_phase = g_phase if phase < highest else g_phase * np.float32(0)
            g_exponent = g_phase * phase * _LN_2
            cutoff_sum, octaves_sum = cutoff_grad[v], octaves_grad[v]
            g[t, v] = g_exponent * octaves[v]
            cutoff_grad[v] = cutoff_sum + g_phase * p
            octaves_grad[v] = octaves_sum + g_exponent * envelope[t, v]
