"""The built-in voice: saw -> Moog ladder with its own ADSR -> velocity and exponential decay."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from src.synth.envelopes import adsr, apply_decay
from src.synth.ladder import ladder
from src.synth.oscillators import saw
from src.synth.voice import Voice, parameter
from src.utils.errors import UserError

if TYPE_CHECKING:
    import torch

A4_HZ, A4_NOTE = 440.0, 69.0
OSCILLATORS = ("bandlimited", "naive")


def note_to_hz(note_number: np.ndarray) -> np.ndarray:
    """Return the equal-tempered frequency of MIDI notes, 440 * 2^((n - 69) / 12) Hz."""
    return A4_HZ * 2.0 ** ((np.asarray(note_number) - A4_NOTE) / 12.0)


def render(
    parameters: Mapping[str, np.ndarray],
    sample_rate: float,
    num_samples: int,
    oscillator: str = "bandlimited",
    drive: float = 0.5,
) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32.

    The level is applied last, in the order oscillator, filter, amplifier of classic synthesizers: velocity and
    decay scale the sound without changing its timbre.
    """
    check_settings(oscillator, drive)
    p = parameters
    x, _ = saw(note_to_hz(p["note_number"]), sample_rate, num_samples, naive=oscillator == "naive")
    x = apply_filter(x, p, sample_rate, drive)
    return apply_decay(x, p["note_velocity"] / 127.0, 10.0 ** p["log10_decay_time"] * sample_rate, out=x)[0]


def apply_filter(
    x: np.ndarray, p: Mapping[str, np.ndarray], sample_rate: float, drive: float, added: np.ndarray | None = None
) -> np.ndarray:
    """Return `x` (T, V) through the ladder and its envelope where `filter_enabled` says so; may change `x`.

    `added` (T, V) float32, in octaves, moves the cutoff as well.
    """
    enabled = p["filter_enabled"] >= 0.5
    if enabled.any():
        amount = p["filter_env_amount"]
        moving = bool(np.any(amount[enabled]))
        envelope = None
        if moving:
            times = [p[f"filter_env_{stage}"] * sample_rate for stage in ("attack", "decay", "release")]
            envelope = adsr(times[0], times[1], p["filter_env_sustain"], times[2], len(x))
        octaves = amount if moving else None
        if added is not None:
            envelope = added if envelope is None else amount.astype(np.float32) * envelope + added
            octaves = np.ones(len(enabled))
        own = x if enabled.all() else None  # otherwise the unfiltered voices are still needed
        filtered, _ = ladder(
            x, p["filter_cutoff"], p["filter_resonance"], sample_rate, drive, octaves, envelope, out=own
        )
        x = np.where(enabled, filtered, x) if own is None else filtered
    return x


def render_differentiable(
    parameters: Mapping[str, "torch.Tensor"],
    sample_rate: float,
    num_samples: int,
    oscillator: str = "bandlimited",
    drive: float = 0.5,
    dtype: "torch.dtype | None" = None,
) -> "torch.Tensor":
    """Render parameters (B,) each -> (B, T), as `render`, with gradients; see docs/differentiable_voices.md.

    Parameters of any dtype are computed in float64. `dtype` is that of the sound, float32 by default, or float64.
    """
    import torch  # rendering alone does not need it

    from src.synth.differentiable import saw_moog

    check_settings(oscillator, drive)
    return saw_moog.render(parameters, sample_rate, num_samples, oscillator, drive, dtype or torch.float32)


def check_settings(oscillator: Any, drive: Any) -> None:
    """Raise UserError for a setting that no voice has."""
    if oscillator not in OSCILLATORS:
        raise UserError(f"synth.settings.oscillator: {oscillator!r} given; give one of {', '.join(OSCILLATORS)}")
    if not isinstance(drive, int | float) or not 0 <= drive < float("inf"):
        raise UserError(f"synth.settings.drive: {drive!r} given; give a number of at least 0; 0 is linear")


def render_log_scaled(
    parameters: Mapping[str, np.ndarray], sample_rate: float, num_samples: int, **settings: Any
) -> np.ndarray:
    """Render as `render`, with `decay_time` in seconds instead of `log10_decay_time`."""
    logarithm = {"log10_decay_time": np.log10(parameters["decay_time"])}
    return render({**parameters, **logarithm}, sample_rate, num_samples, **settings)


def render_log_scaled_differentiable(
    parameters: Mapping[str, "torch.Tensor"], sample_rate: float, num_samples: int, **settings: Any
) -> "torch.Tensor":
    """Render as `render_differentiable`, with `decay_time` in seconds instead of `log10_decay_time`."""
    logarithm = {"log10_decay_time": parameters["decay_time"].double().log10()}
    return render_differentiable({**parameters, **logarithm}, sample_rate, num_samples, **settings)


SAW_MOOG = Voice(
    name="saw_moog",
    parameters=(
        parameter("note_number", 0, 127, 43.35, "MIDI note", "pitch, 69 is A4 = 440 Hz; 43.35 is 100 Hz"),
        parameter("note_velocity", 0, 127, 100, "MIDI velocity", "level: amplitude v / 127"),
        parameter("log10_decay_time", -4, 2, 0, "log10 s", "amplitude decays as exp(-t / 10^x)"),
        parameter("filter_enabled", 0, 1, 1, "", "0 bypasses the filter", kind="categorical"),
        parameter("filter_cutoff", 20, 20000, 1000, "Hz", "cutoff of the ladder"),
        parameter("filter_resonance", 0, 1, 0, "", "feedback of the ladder; 1 self-oscillates"),
        parameter("filter_env_attack", 0, 60, 0, "s", "rise time of the filter envelope"),
        parameter("filter_env_decay", 0, 60, 0.1, "s", "time in which the filter envelope falls to its sustain"),
        parameter("filter_env_sustain", 0, 1, 1, "", "level that the filter envelope holds"),
        parameter("filter_env_release", 0, 60, 0, "s", "final fall of the filter envelope, which ends with the clip"),
        parameter(
            "filter_env_amount", -8, 8, 0, "octaves", "the envelope multiplies the cutoff by 2^(amount * envelope)"
        ),
    ),
    render=render,
    settings={"oscillator": "bandlimited", "drive": 0.5},
    differentiable=render_differentiable,
)

_LOG_SCALED = {  # by the names of SAW_MOOG's parameters
    "log10_decay_time": parameter("decay_time", 1e-4, 100, 1, "s", "amplitude decays as exp(-t / x)", scale="log"),
    "filter_cutoff": parameter("filter_cutoff", 20, 20000, 1000, "Hz", "cutoff of the ladder", scale="log"),
}
SAW_MOOG_LOG = Voice(
    name="saw_moog_log",
    parameters=tuple(_LOG_SCALED.get(spec.name, spec) for spec in SAW_MOOG.parameters),
    render=render_log_scaled,
    settings=SAW_MOOG.settings,
    differentiable=render_log_scaled_differentiable,
)
