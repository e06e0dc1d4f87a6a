"""A voice with a parameter of each kind, as a user may write it."""

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.voice import Voice


def render(parameters, sample_rate, num_samples):
    """A sine or a square at 250 Hz or an octave above or below."""
    time = np.arange(num_samples)[:, None] / sample_rate
    tone = np.sin(2 * np.pi * 250.0 * 2.0 ** parameters["octave"] * time)
    shaped = np.where(parameters["wave"] > 0.5, np.sign(tone), tone)
    return (10.0 ** (parameters["level"] / 20.0) * shaped).astype(np.float32)


ORGAN = Voice(
    "organ",
    (
        ParameterSpec(name="level", min=-20, max=0, unit="dB"),
        ParameterSpec(name="wave", kind="categorical", values=("sine", "square")),
        ParameterSpec(name="octave", min=-1, max=1, step=1, kind="ordinal"),
    ),
    render,
)

RECIPE = {
    "name": "organ",
    "voice": "tests.evaluation.voices.ORGAN",
    "sample_rate": 8000,
    "duration": 0.5,
    "parameters": {
        "level": {"min": -20, "step": 2, "max": 0},
        "wave": {"values": ["sine", "square"]},
        "octave": {"min": -1, "step": 1, "max": 1},
    },
}
