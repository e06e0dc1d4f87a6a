"""The envelopes of src.synth.envelopes as torch functions: linear-segment ADSR and exponential decay."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.synth.compiled import compiled
from src.synth.differentiable.arrays import array, of_kernel, own_array, work_dtype
from src.synth.envelopes import SILENCE, adsr_block, decay_block

_PART = 64  # samples


def adsr(
    attack: Tensor,
    decay: Tensor,
    sustain: Tensor,
    release: Tensor,
    num_samples: int,
    start: int = 0,
    stop: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return linear-segment ADSR envelopes, (T, V) in [0, 1], as `src.synth.envelopes.adsr`.

    `attack`, `decay` and `release` (V,) in samples and `sustain` (V,) have gradients. A segment that is shorter than a
    sample has no gradient of its length. `dtype` is float32 or float64.
    """
    device = attack.device
    attack, decay, sustain, release = (of_kernel(one, torch.float64) for one in (attack, decay, sustain, release))
    times = torch.stack([attack, decay, release])
    times = times * (num_samples / times.sum(dim=0).clamp_min(1.0)).clamp_max(1.0)
    stages = (*times.to(dtype), sustain.to(dtype))
    return _Adsr.apply(*stages, num_samples, start, num_samples if stop is None else stop).to(device)


def apply_decay(x: Tensor, level: Tensor, time_constant: Tensor) -> tuple[Tensor, Tensor]:
    """Return `x` (T, V) times level * exp(-t / time_constant), both (V,), in samples; and the next level.

    All three have gradients. The dtype is that of `x`; half precision is computed in float32. The result lies in memory
    as (V, T), which is what follows a voice's last stage. The next level, (V,) float64, is on the CPU.
    """
    device, given = x.device, x.dtype
    x = of_kernel(x, work_dtype(x))
    level, time_constant = (of_kernel(one, torch.float64) for one in (level, time_constant))
    log_ratio = -1.0 / time_constant
    out = _Decay.apply(x, level, log_ratio)
    next_level = level * torch.exp(len(x) * log_ratio)
    return out.T.to(device, given), next_level


@compiled
def _slopes(now, total, attack, decay, sustain, release):  # pragma: no cover - compiled
    """Return the derivatives of the ADSR at a time, by attack, decay, sustain and release."""
    zero, one = np.float32(0.0), np.float32(1.0)
    fallen = (now - attack) / max(decay, one)  # the share of the decay that has passed, if it has begun
    left = (total - now) / max(release, one)
    is_ending = now >= total - release
    is_rising = now < attack and not is_ending
    is_falling = now >= attack and fallen < one and not is_ending
    by_rising = -now / (attack * attack) if attack > one else -one
    by_attack = by_rising if is_rising else zero
    by_attack = (one - sustain) / max(decay, one) if is_falling else by_attack
    by_decay = (one - sustain) * fallen / decay if is_falling and decay > one else zero
    by_sustain = zero if is_rising else one
    by_sustain = fallen if is_falling else by_sustain
    by_sustain = left if is_ending else by_sustain
    by_release = -sustain * left / release if is_ending and release > one else zero
    return by_attack, by_decay, by_sustain, by_release


@compiled
def _adsr_adjoint(attack, decay, sustain, release, num_samples, start, g, sums):  # pragma: no cover - compiled
    total = np.float32(num_samples)
    for t in range(g.shape[0]):
        now = np.float32(start + t)
        for v in range(attack.shape[0]):
            slopes = _slopes(now, total, attack[v], decay[v], sustain[v], release[v])
            sum0, sum1, sum2, sum3 = sums[0, v], sums[1, v], sums[2, v], sums[3, v]
            sums[0, v] = sum0 + g[t, v] * slopes[0]
            sums[1, v] = sum1 + g[t, v] * slopes[1]
            sums[2, v] = sum2 + g[t, v] * slopes[2]
            sums[3, v] = sum3 + g[t, v] * slopes[3]


@compiled
def _adsr_tangent(attack, decay, sustain, release, num_samples, start, tangents, out):  # pragma: no cover - compiled
    total = np.float32(num_samples)
    for t in range(out.shape[0]):
        now = np.float32(start + t)
        for v in range(attack.shape[0]):
            slopes = _slopes(now, total, attack[v], decay[v], sustain[v], release[v])
            first = slopes[0] * tangents[0, v] + slopes[1] * tangents[1, v]
            out[t, v] = first + slopes[2] * tangents[2, v] + slopes[3] * tangents[3, v]


class _Adsr(torch.autograd.Function):
    """attack, decay, sustain, release (V,), length of the clip, start, stop -> envelope (T, V)."""

    @staticmethod
    def forward(
        ctx: Any,
        attack: Tensor,
        decay: Tensor,
        release: Tensor,
        sustain: Tensor,
        num_samples: int,
        start: int,
        stop: int,
    ) -> Tensor:
        ctx.span = num_samples, start, stop
        ctx.save_for_backward(attack, decay, sustain, release)
        ctx.save_for_forward(attack, decay, sustain, release)
        stages = [array(one) for one in (attack, decay, sustain, release)]
        out = np.empty((stop - start, len(attack)), stages[0].dtype)
        adsr_block(*stages, num_samples, start, out)
        return torch.from_numpy(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        stages = [array(one) for one in ctx.saved_tensors]
        num_samples, start, _ = ctx.span
        sums = np.zeros((4, len(stages[0])), stages[0].dtype)
        _adsr_adjoint(*stages, num_samples, start, array(g), sums)
        attack, decay, sustain, release = torch.from_numpy(sums)
        return attack, decay, release, sustain, None, None, None

    @staticmethod
    def jvp(ctx: Any, d_attack: Tensor, d_decay: Tensor, d_release: Tensor, d_sustain: Tensor, *_: None) -> Tensor:
        stages = [array(one) for one in ctx.saved_tensors]
        num_samples, start, stop = ctx.span
        out = np.empty((stop - start, len(stages[0])), stages[0].dtype)
        tangents = np.stack([array(one) for one in (d_attack, d_decay, d_sustain, d_release)])
        _adsr_tangent(*stages, num_samples, start, tangents, out)
        return torch.from_numpy(out)


@compiled
def _decay_transposed(level, ratio, x, out):  # pragma: no cover - compiled
    """Write x (T, V) after `decay_block` to out (V, T), in parts that fit into the cache."""
    part = np.empty((_PART, x.shape[1]), x.dtype)
    for start in range(0, x.shape[0], _PART):
        length = min(_PART, x.shape[0] - start)
        for t in range(length):
            for v in range(x.shape[1]):
                part[t, v] = x[start + t, v]
        decay_block(level, ratio, part[:length])
        for v in range(x.shape[1]):
            for t in range(length):
                out[v, start + t] = part[t, v]


@compiled
def _decay_adjoint(x, level, ratio, g, level_grad, log_ratio_grad):  # pragma: no cover - compiled
    power = np.ones(x.shape[1])
    for t in range(x.shape[0]):
        for v in range(x.shape[1]):
            p = power[v]
            level_sum, log_ratio_sum = level_grad[v], log_ratio_grad[v]
            through = g[t, v] * x[t, v] * p
            g[t, v] = g[t, v] * (level[v] * p)
            level_grad[v] = level_sum + through
            log_ratio_grad[v] = log_ratio_sum + t * (level[v] * through)
            power[v] = p * ratio[v] if p > SILENCE else 0.0


class _Decay(torch.autograd.Function):
    """x (T, V), level (V,) and log_ratio (V,), both float64 -> x * level * exp(log_ratio * t), (V, T)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, level: Tensor, log_ratio: Tensor) -> Tensor:
        ctx.save_for_backward(x, level, log_ratio)
        ctx.save_for_forward(x, level, log_ratio)
        out = x.new_empty(x.shape[1], x.shape[0])
        _decay_transposed(own_array(level), np.exp(array(log_ratio)), array(x), out.numpy())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, level, log_ratio = (array(one) for one in ctx.saved_tensors)
        g_x, g_level, g_log_ratio = own_array(g.T), np.zeros_like(level), np.zeros_like(level)
        _decay_adjoint(x, level, np.exp(log_ratio), g_x, g_level, g_log_ratio)
        return torch.from_numpy(g_x), torch.from_numpy(g_level), torch.from_numpy(g_log_ratio)

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, d_level: Tensor, d_log_ratio: Tensor) -> Tensor:
        x, level, log_ratio = ctx.saved_tensors
        time = torch.arange(len(x), dtype=level.dtype)[:, None]
        power = torch.exp(log_ratio * time)
        return (power * (level * dx + x * (d_level + level * time * d_log_ratio))).to(x.dtype).T.contiguous()
