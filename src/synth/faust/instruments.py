"""A voice of several instruments: physical models of Faust's library, which share their parameters."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.faust.voice import make_voice, versions
from src.synth.saw_moog import SAW_MOOG
from src.synth.voice import Voice, parameter


class _Instrument(NamedTuple):
    """A model of the library, and what `colour` 0 and 1 and `vibrato_rate` mean for it."""

    model: str
    colour: str
    low: float  # outside this range the model does not speak
    high: float
    vibrato_rate: str | None  # names of its controls
    vibrato_depth: str | None


INSTRUMENTS_BY_NAME = {
    "clarinet": _Instrument("pm.clarinet_ui_MIDI", "reedStiffness", 0.2, 0.8, "vibratoFreq", "vibratoGain"),
    "flute": _Instrument("pm.flute_ui_MIDI", "mouthPosition", 0.3, 0.7, "vibratoFreq", "vibratoGain"),
    "brass": _Instrument("pm.brass_ui_MIDI", "lipsTension", 0.55, 0.9, "vibratoFreq", "vibratoGain"),
    "violin": _Instrument("pm.violin_ui_MIDI", "position", 0.2, 0.8, "vibratoFrequency", "vibratoGain"),
    "nylon guitar": _Instrument("pm.nylonGuitar_ui_MIDI", "pluckPosition", 0.1, 0.9, None, None),
}
_NAMES = tuple(INSTRUMENTS_BY_NAME)


@cache
def _voice(model: str) -> Voice:
    return make_voice(model)


def render(
    parameters: Mapping[str, np.ndarray],
    sample_rate: float,
    num_samples: int,
    engine: Any = "auto",
    note_off: Any = 0.8,
) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32."""
    p = parameters
    out = np.empty((num_samples, len(p["instrument"])), np.float32)
    which = np.round(p["instrument"]).astype(int)
    for at, (model, colour, low, high, rate, depth) in enumerate(INSTRUMENTS_BY_NAME.values()):
        chosen = np.flatnonzero(which == at)
        if not len(chosen):
            continue
        voice = _voice(model)
        given = {spec.name: np.full(len(chosen), spec.default) for spec in voice.parameters}
        given["note_number"], given["note_velocity"] = p["note_number"][chosen], p["note_velocity"][chosen]
        given[colour] = low + (high - low) * p["colour"][chosen]
        if rate and depth:
            given[rate], given[depth] = p["vibrato_rate"][chosen], p["vibrato_depth"][chosen]
        out[:, chosen] = voice.render(given, sample_rate, num_samples, engine=engine, note_off=note_off)
    return out


INSTRUMENTS = Voice(
    name="instruments",
    parameters=(
        ParameterSpec(
            name="instrument", min=0, max=len(_NAMES) - 1, values=_NAMES, default=0, description="physical model"
        ),
        SAW_MOOG.spec("note_number").model_copy(update={"min": 36.0, "max": 83.0, "default": 60.0}),
        SAW_MOOG.spec("note_velocity"),
        parameter("colour", 0, 1, 0.5, "", "reed stiffness, lip tension, or position of mouth, bow or pluck"),
        parameter("vibrato_rate", 1, 10, 5, "Hz", "of all but the guitar"),
        parameter("vibrato_depth", 0, 1, 0.3, "", "of all but the guitar"),
    ),
    render=render,
    settings={"engine": "auto", "note_off": 0.8},
    versions=versions,
)
