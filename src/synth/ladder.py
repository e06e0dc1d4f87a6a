"""The Moog ladder low-pass over blocks of voices, (time, voices).

Zero-delay feedback by the topology-preserving transform (Zavalishin, "The Art of VA Filter Design", ch. 5): four
one-pole stages, each bilinear-transformed with a pre-warped cutoff, in a feedback loop that is solved per sample. The
loop's input passes a saturator, so that resonance 1 oscillates at a bounded level.
"""

import math

import numpy as np

from src.synth.compiled import compiled, own_copy

MIN_CUTOFF_HZ = 20.0
MAX_CUTOFF = 0.45  # of the sample rate: tan(pi * 0.45) = 6.3 is still accurate in float32
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1.0), np.float32(2.0)


@compiled
def exp2(x):  # pragma: no cover - compiled
    """Return 2^x as (e^(x ln2 / 32))^32, with a relative error below 2e-6 for |x| <= 8."""
    e = x * np.float32(math.log(2.0) / 32.0)
    p = _ONE + e * (_ONE + e * (_HALF + e * (np.float32(1 / 6) + e * (np.float32(1 / 24) + e * np.float32(1 / 120)))))
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    return p * p


@compiled
def stage_gain(cutoff, octaves, envelope, lowest, highest, gain):  # pragma: no cover - compiled
    """Fill gain (T, V) with G = g / (1 + g), g = tan(pi * fc / fs), fc = cutoff * 2^(octaves * envelope)."""
    # exp2 and tan as polynomials, so that the loop over voices runs in SIMD lanes
    for t in range(envelope.shape[0]):
        for v in range(envelope.shape[1]):
            p = exp2(octaves[v] * envelope[t, v])
            phase = cutoff[v] * p
            phase = phase if phase > lowest else lowest
            phase = phase if phase < highest else highest
            x = _HALF * phase
            x2 = x * x  # tan(x) = 2 h / (1 - h^2), h = tan(x / 2) by its continued fraction
            h = (
                x
                * (np.float32(945) + x2 * (np.float32(-105) + x2))
                / (np.float32(945) + x2 * (np.float32(-420) + np.float32(15) * x2))
            )
            g = _TWO * h / (_ONE - h * h)
            gain[t, v] = g / (_ONE + g)


@compiled
def filter_block(x, gain, gain_step, feedback, drive, limit, s):  # pragma: no cover - compiled
    num_samples, num_voices = x.shape
    for t in range(num_samples):
        for v in range(num_voices):
            a = gain[t * gain_step, v]
            k = feedback[v]
            # the loop's zero-delay solution: y4 = a^4 u + (1 - a) (a^3 s1 + a^2 s2 + a s3 + s4), u = x - k y4
            held = (_ONE - a) * (s[3, v] + a * (s[2, v] + a * (s[1, v] + a * s[0, v])))
            u = (x[t, v] - k * held) / (_ONE + k * (a * a) * (a * a))
            # tanh(drive * u) / drive as its Pade approximant, which meets +-1 with slope 0 at |drive * u| = 3
            u = u if u < limit else limit
            u = u if u > -limit else -limit
            z = (drive * u) * (drive * u)
            u = u * (np.float32(27) + z) / (np.float32(27) + np.float32(9) * z)
            d = a * (u - s[0, v])
            u = d + s[0, v]
            s[0, v] = u + d
            d = a * (u - s[1, v])
            u = d + s[1, v]
            s[1, v] = u + d
            d = a * (u - s[2, v])
            u = d + s[2, v]
            s[2, v] = u + d
            d = a * (u - s[3, v])
            u = d + s[3, v]
            s[3, v] = u + d
            x[t, v] = u  # in place: the loop over voices has no SIMD lanes if two arrays may overlap


def ladder(
    x: np.ndarray,
    cutoff_hz: np.ndarray,
    resonance: np.ndarray,
    sample_rate: float,
    drive: float = 0.0,
    octaves: np.ndarray | None = None,
    envelope: np.ndarray | None = None,
    state: np.ndarray | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return `x` (T, V) float32, filtered, and the state (4, V) of the stages for the next block.

    `cutoff_hz`, `resonance` (0..1, 1 self-oscillates) and `octaves` are (V,); the cutoff is
    cutoff_hz * 2^(octaves * envelope) with `envelope` (T, V), clamped to 20 Hz .. 0.45 of
    the sample rate. `drive` 0 is linear; with 1 a full-scale input is strongly saturated. Without a state the filter
    is at rest. The result is written to `out`, which may be `x`, or to a new array.
    """
    to_phase = math.pi / sample_rate
    still = envelope is None
    if still:
        envelope = np.zeros((1, x.shape[1]), np.float32)
        octaves = np.zeros(x.shape[1])
    gain = np.empty_like(envelope)
    stage_gain(
        (np.asarray(cutoff_hz) * to_phase).astype(np.float32),
        np.asarray(octaves, np.float32),
        envelope,
        np.float32(MIN_CUTOFF_HZ * to_phase),
        np.float32(MAX_CUTOFF * math.pi),
        gain,
    )
    feedback = (4.0 * np.asarray(resonance)).astype(np.float32)
    limit = np.float32(3.0 / drive if drive > 0 else np.inf)
    state = np.zeros((4, x.shape[1]), np.float32) if state is None else state.copy()
    out = own_copy(x, out)
    filter_block(out, gain, 0 if still else 1, feedback, np.float32(drive), limit, state)
    return out, state
