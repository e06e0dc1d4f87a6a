"""Independent float64 references: plain, slow, one voice at a time."""

import numpy as np
from hypothesis import settings

repeatable = settings(database=None, deadline=None, derandomize=True, max_examples=60)  # the same examples every run


def saw_series(frequency, sample_rate, num_samples):
    """Return -2 / pi * sum sin(2 pi k f t) / k over the partials below half the sample rate."""
    t = np.arange(num_samples) / sample_rate
    partials = np.arange(1, int(np.ceil(sample_rate / 2 / frequency)))
    return sum((-2 / (np.pi * k) * np.sin(2 * np.pi * k * frequency * t) for k in partials), np.zeros(num_samples))


def saturate(u, drive):
    """Return the Pade approximant x (27 + x^2) / (27 + 9 x^2) of tanh, x = drive * u, over drive."""
    if drive == 0:
        return u
    x = np.clip(drive * u, -3, 3)
    return x * (27 + x * x) / (27 + 9 * x * x) / drive


def ladder_loop(x, cutoff_hz, resonance, sample_rate, drive=0.0):
    """Filter (T,) with a cutoff per sample: the zero-delay loop as a linear system, then the saturator."""
    gain = np.tan(np.pi * np.clip(np.broadcast_to(cutoff_hz, x.shape), 20, 0.45 * sample_rate) / sample_rate)
    state, out = np.zeros(4), np.empty(len(x))
    for t, (sample, g) in enumerate(zip(x, gain, strict=True)):
        # trapezoidal integrators: y_i = g (y_{i-1} - y_i) + s_i, y_0 = u; and u + 4 r y_4 = x
        system = (1 + g) * np.eye(5) - g * np.eye(5, k=-1)
        system[0] = [1, 0, 0, 0, 4 * resonance]
        u = saturate(np.linalg.solve(system, [sample, *state])[0], drive)
        for i in range(4):
            v = g * (u - state[i]) / (1 + g)
            u = v + state[i]
            state[i] = u + v
        out[t] = u
    return out


def adsr_interp(attack, decay, sustain, release, num_samples):
    """Return the envelope as np.interp over its corners; times in samples, shrunk to fit in proportion."""
    attack, decay, release = np.array([attack, decay, release]) * min(1, num_samples / max(attack + decay + release, 1))
    corners = [0, attack, attack + decay, num_samples - release, num_samples]
    return np.interp(np.arange(num_samples), corners, [0, 1, sustain, sustain, 0])
