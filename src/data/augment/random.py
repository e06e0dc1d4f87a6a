"""Random numbers as a function of (seed, epoch, sample): no generator, so nothing to store, and the same everywhere.

Integers are computed in 64 bits and become floats without rounding, so every device and process draws the same.
"""

import math
import zlib
from functools import cache

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)
_KNOTS = 1025  # of a table of quantiles


def _signed(word: int) -> int:
    """Return the signed integer with the same 64 bits, since torch has no unsigned arithmetic."""
    word &= 2**64 - 1
    return word - 2**64 if word >> 63 else word


def _unsigned_shift(words: Tensor, count: int) -> Tensor:
    return (words >> count).bitwise_and_(2 ** (64 - count) - 1)


def mix(words: Tensor) -> Tensor:
    """Return a bijective hash of int64 words, any shape: the output function of SplitMix64.

    Source: Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    for shift, factor in zip(_SHIFTS[:2], _FACTORS, strict=True):
        words = _unsigned_shift(words, shift).bitwise_xor_(words).mul_(_signed(factor))
    return _unsigned_shift(words, _SHIFTS[2]).bitwise_xor_(words)


def sample_keys(index: Tensor, seed: int, epoch: int, name: str) -> Tensor:
    """Return the keys (B,) int64 of samples with numbers (B,) int64, for one use, `name`, of random numbers."""
    key = torch.zeros((), dtype=torch.int64)
    for word in (seed, epoch, zlib.crc32(name.encode())):
        key = mix(key + _signed(_GOLDEN) + word)
    return mix(mix(index + _signed(_GOLDEN)) ^ int(key))


def words(keys: Tensor, count: int) -> Tensor:
    """Return the first words (B, count) int64 of a SplitMix64 generator for each key (B,)."""
    steps = torch.arange(1, count + 1, device=keys.device) * _signed(_GOLDEN)
    return mix(keys[:, None] + steps)


def uniforms(keys: Tensor, count: int) -> Tensor:
    """Return uniform numbers (B, count) float32 in [0, 1), multiples of 2^-24, two from each word."""
    bits = words(keys, (count + 1) // 2)
    pairs = torch.stack([_unsigned_shift(bits, 40), _unsigned_shift(bits, 16).bitwise_and_(2**24 - 1)], dim=2)
    return (pairs.to(torch.float32) * 2.0**-24).flatten(1)[:, :count]


def other_samples(index: Tensor, count: int, seed: int, epoch: int) -> Tensor:
    """Return for each sample (B,) the number (B,) int64 of another, or the same one, of `count`."""
    high = _unsigned_shift(words(sample_keys(index, seed, epoch, "partner"), 1)[:, 0], 32)
    return (high * count) >> 32


def between(uniform: Tensor, low: float, high: float) -> Tensor:
    """Map uniform numbers to uniform numbers from low to high."""
    return low + (high - low) * uniform


def whole_between(uniform: Tensor, low: int, high: int) -> Tensor:
    """Map uniform numbers to whole numbers from low to high, both included, int64."""
    return low + (uniform * (high - low + 1)).long()


def normals(uniform: Tensor) -> Tensor:
    """Map uniform numbers of `uniforms` to standard normal ones, up to 5.4 deviations."""
    return math.sqrt(2.0) * torch.erfinv(2.0 * uniform - (1.0 - 2.0**-24))


@cache
def _quantiles(alpha: float, device: torch.device) -> Tensor:
    """Return a table of quantiles on a device, copied there once: a copy waits for an accelerator."""
    table = betaincinv(alpha, alpha, np.linspace(0.0, 1.0, _KNOTS))
    return torch.from_numpy(table.astype(np.float32)).to(device)


def betas(uniform: Tensor, alpha: float) -> Tensor:
    """Map uniform numbers to ones of the distribution Beta(alpha, alpha), by a table of its quantiles."""
    table = _quantiles(alpha, uniform.device)
    place = uniform * (_KNOTS - 1)
    left = place.long()
    return torch.lerp(table[left], table[left + 1], place - left)
