"""Envelopes over blocks of voices, (time, voices): linear-segment ADSR and exponential decay."""

import numpy as np

from src.synth.compiled import compiled, own_copy

SILENCE = 1e-10  # -200 dB: a decay below this is set to zero, since denormals would be slow


@compiled
def adsr_block(attack, decay, sustain, release, num_samples, start, out):  # pragma: no cover - compiled
    one = np.float32(1.0)
    total = np.float32(num_samples)
    for t in range(out.shape[0]):
        now = np.float32(start + t)
        for v in range(attack.shape[0]):
            rising = min(one - (attack[v] - now) / max(attack[v], one), one)
            falling = max(one - (one - sustain[v]) * (now - attack[v]) / max(decay[v], one), sustain[v])
            held = rising if now < attack[v] else falling
            ending = sustain[v] * (total - now) / max(release[v], one)
            out[t, v] = held if now < total - release[v] else ending


def adsr(
    attack: np.ndarray,
    decay: np.ndarray,
    sustain: np.ndarray,
    release: np.ndarray,
    num_samples: int,
    start: int = 0,
    stop: int | None = None,
) -> np.ndarray:
    """Return linear-segment ADSR envelopes, (T, V) float32 in [0, 1]; the release ends with a clip of `num_samples`.

    `attack`, `decay` and `release` are (V,) in samples, `sustain` is (V,) in [0, 1]. Times whose sum is longer than the
    clip are shortened in proportion. `start` and `stop` choose a block of the clip.
    """
    times = np.stack([attack, decay, release]).astype(np.float64)
    times *= np.minimum(1.0, num_samples / np.maximum(times.sum(axis=0), 1.0))
    attack, decay, release = times.astype(np.float32)
    out = np.empty(((num_samples if stop is None else stop) - start, len(attack)), np.float32)
    adsr_block(attack, decay, np.asarray(sustain, np.float32), release, num_samples, start, out)
    return out


@compiled
def decay_block(level, ratio, x):  # pragma: no cover - compiled
    for t in range(x.shape[0]):
        for v in range(x.shape[1]):
            x[t, v] *= x.dtype.type(level[v])
            level[v] = level[v] * ratio[v] if level[v] > SILENCE else 0.0


def apply_decay(
    x: np.ndarray, level: np.ndarray, time_constant: np.ndarray, out: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return `x` (T, V) float32 times level * exp(-t / time_constant), both (V,), in samples; and the next level.

    The result is written to `out`, which may be `x`, or to a new array.
    """
    out, level = own_copy(x, out), np.array(level, np.float64)
    decay_block(level, np.exp(-1.0 / np.asarray(time_constant, np.float64)), out)
    return out, level
