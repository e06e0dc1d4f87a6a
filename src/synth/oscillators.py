"""Saw oscillators over blocks of voices, (time, voices)."""

from functools import lru_cache

import numpy as np

from src.synth.compiled import compiled

TABLE_SIZE = 4096  # the error of linear interpolation is then below -80 dB up to the 40th harmonic


@lru_cache(maxsize=1024)
def saw_table(num_harmonics: int) -> np.ndarray:
    """Return one period of a rising saw of `num_harmonics` partials, (TABLE_SIZE + 1,) float32.

    This is the Fourier series of 2 * phase - 1 up to that partial. The first sample is repeated at the end, for
    interpolation.
    """
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, np.complex128)
    k = np.arange(1, min(num_harmonics, TABLE_SIZE // 2 - 1) + 1)
    spectrum[k] = 1j / (np.pi * k) * TABLE_SIZE  # irfft of this is -(2 / pi) * sum sin(k x) / k
    period = np.fft.irfft(spectrum, TABLE_SIZE)
    return np.append(period, period[0]).astype(np.float32)


@compiled
def _read_table(phase, increment, tables, row, out):  # pragma: no cover - compiled
    for t in range(out.shape[0]):
        for v in range(increment.shape[0]):
            position = phase[v] * TABLE_SIZE
            index = np.int32(position)
            fraction = np.float32(position - index)
            low = tables[row[v], index]
            out[t, v] = low + fraction * (tables[row[v], index + 1] - low)
            advanced = phase[v] + increment[v]
            phase[v] = advanced - np.floor(advanced)  # the increment may exceed a period


@compiled
def _naive(start, increment, out):  # pragma: no cover - compiled
    for t in range(out.shape[0]):
        for v in range(increment.shape[0]):
            phase = (start[v] + t) * increment[v]
            out[t, v] = np.float32(2.0 * (phase - np.floor(phase)) - 1.0)


def saw(
    frequency: np.ndarray, sample_rate: float, num_samples: int, naive: bool = False, state: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return rising saws of `frequency` (V,) Hz, (T, V) float32, full scale +-1, and the state for the next block.

    They are band-limited: a wavetable of exactly the partials below half the sample rate, or silence if there are none.
    The state (V,) is the phase in periods. With `naive`, they are 2 * frac(f t) - 1, which aliases, and the state is
    the number of samples so far. Without a state they begin with phase 0.
    """
    increment = np.asarray(frequency, np.float64) / sample_rate
    out = np.empty((num_samples, len(increment)), np.float32)
    state = np.zeros(len(increment)) if state is None else state.copy()
    if naive:
        _naive(state, increment, out)
        return out, state + num_samples
    num_harmonics = (np.ceil(0.5 / increment) - 1).astype(np.int64)
    distinct, row = np.unique(num_harmonics, return_inverse=True)
    tables = np.stack([saw_table(int(n)) for n in distinct])
    _read_table(state, increment, tables, row, out)
    return out, state
