"""Oscillators over blocks of voices, (time, voices): band-limited waves, the naive saw, sines, and noise."""

import math
from functools import lru_cache

import numpy as np

from src.synth.compiled import compiled

TABLE_SIZE = 4096  # the error of linear interpolation is then below -80 dB up to the 40th harmonic


NEXT = np.uint32(1)  # indices are unsigned: then no code checks whether one counts from an array's end
SHAPES = ("sine", "triangle", "square", "saw")  # all begin with phase 0 at a zero; the saw falls there, others rise


@lru_cache(maxsize=4096)
def wave_table(shape: str, num_harmonics: int) -> np.ndarray:
    """Return one period of a wave of `num_harmonics` partials, (TABLE_SIZE + 1,) float32.

    This is the Fourier series of the wave, full scale +-1, up to that partial; the saw is 2 * phase - 1. The first
    sample is repeated at the end, for interpolation.
    """
    k = np.arange(1, min(num_harmonics, TABLE_SIZE // 2 - 1) + 1)
    odd = k % 2
    amplitudes = {  # of sin(k x)
        "sine": np.where(k == 1, 1.0, 0.0),
        "triangle": 8.0 / (np.pi * k) ** 2 * odd * np.where(k % 4 == 1, 1.0, -1.0),
        "square": 4.0 / (np.pi * k) * odd,
        "saw": -2.0 / (np.pi * k),
    }[shape]
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, np.complex128)
    spectrum[k] = -0.5j * amplitudes * TABLE_SIZE
    period = np.fft.irfft(spectrum, TABLE_SIZE)
    return np.append(period, period[0]).astype(np.float32)


def wave_tables(shape: str, increment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return tables (K, TABLE_SIZE + 1) with the partials below half the sample rate, and each voice's row (V,).

    `increment` (V,) is the frequency in periods per sample.
    """
    num_harmonics = (np.ceil(0.5 / increment) - 1).astype(np.int64)
    distinct, row = np.unique(num_harmonics, return_inverse=True)
    return np.stack([wave_table(shape, int(n)) for n in distinct]), row.astype(np.uint32)


@compiled
def read_table(phase, increment, increment_step, tables, row, out):  # pragma: no cover - compiled
    """Fill out (T, V); increment is (T, V) with an increment_step of 1, or constant, (1, V) with 0."""
    for t in range(out.shape[0]):
        for v in range(out.shape[1]):
            position = phase[v] * TABLE_SIZE
            index = np.uint32(position)
            fraction = tables.dtype.type(position - index)
            low = tables[row[v], index]
            out[t, v] = low + fraction * (tables[row[v], index + NEXT] - low)
            advanced = phase[v] + increment[t * increment_step, v]
            phase[v] = advanced - np.floor(advanced)  # the increment may exceed a period


@compiled
def _naive(start, increment, out):  # pragma: no cover - compiled
    for t in range(out.shape[0]):
        for v in range(increment.shape[0]):
            phase = (start[v] + t) * increment[v]
            out[t, v] = np.float32(2.0 * (phase - np.floor(phase)) - 1.0)


@compiled
def triangle(periods):  # pragma: no cover - compiled
    """Return the naive triangle of a phase in periods; it rises from 0 at phase 0."""
    late = periods - 0.25
    return 4.0 * abs(late - np.floor(late) - 0.5) - 1.0


@compiled
def sine(periods):  # pragma: no cover - compiled
    """Return sin(2 pi x) of a phase in periods, with an error below 1e-9, by its Taylor series in -pi/2 .. pi/2.

    Unlike the sine of a library, it has the same digits on every processor.
    """
    x = (0.5 * math.pi) * triangle(periods)
    x2 = x * x
    series = 1.0 / 362880 + x2 * (-1.0 / 39916800 + x2 * (1.0 / 6227020800))
    return x * (1.0 + x2 * (-1.0 / 6 + x2 * (1.0 / 120 + x2 * (-1.0 / 5040 + x2 * series))))


def wave(
    shape: str,
    frequency: np.ndarray,
    sample_rate: float,
    num_samples: int,
    state: np.ndarray | None = None,
    octaves: np.ndarray | None = None,
    modulation: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return waves of a shape of SHAPES at `frequency` (V,) Hz, (T, V) float32, and the state for the next block.

    They are band-limited: a wavetable of exactly the partials below half the sample rate, or silence if there are none.
    The state (V,) is the phase in periods. Without a state they begin with phase 0.

    With `octaves` (V,), at least 0, and `modulation` (T, V) in +-1, the frequency is frequency * 2^(octaves *
    modulation), and the partials are those of the highest frequency.
    """
    increment = np.asarray(frequency, np.float64) / sample_rate
    out = np.empty((num_samples, len(increment)), np.float32)
    state = np.zeros(len(increment)) if state is None else state.copy()
    if octaves is None:
        read_table(state, increment[None], 0, *wave_tables(shape, increment), out)
    else:
        tables = wave_tables(shape, increment * np.exp2(octaves))
        read_table(state, increment * np.exp2(octaves * modulation), 1, *tables, out)
    return out, state


def saw(
    frequency: np.ndarray, sample_rate: float, num_samples: int, naive: bool = False, state: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return rising saws of `frequency` (V,) Hz, (T, V) float32, full scale +-1, and the state for the next block.

    They are band-limited, see `wave`. With `naive`, they are 2 * frac(f t) - 1, which aliases, and the state is the
    number of samples so far. Without a state they begin with phase 0.
    """
    if not naive:
        return wave("saw", frequency, sample_rate, num_samples, state)
    increment = np.asarray(frequency, np.float64) / sample_rate
    out = np.empty((num_samples, len(increment)), np.float32)
    state = np.zeros(len(increment)) if state is None else state.copy()
    _naive(state, increment, out)
    return out, state + num_samples


def noise(num_samples: int, start: int = 0, seed: int = 0) -> np.ndarray:
    """Return white noise, uniform in +-1, (T,) float32; samples `start` .. of the same noise whatever the block."""
    bits = np.random.Philox(key=seed).advance(start // 4)  # a step of Philox gives four numbers
    skipped = start % 4
    return np.random.Generator(bits).uniform(-1.0, 1.0, skipped + num_samples)[skipped:].astype(np.float32)
