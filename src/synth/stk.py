"""An instrument of the Synthesis ToolKit (STK, Cook and Scavone) as a voice, by the package `synthesistoolkit`."""

import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.discovered import check_note_off
from src.synth.saw_moog import SAW_MOOG, note_to_hz
from src.synth.voice import Voice, parameter
from src.utils.errors import UnavailableError, UserError, did_you_mean

# those that play a pitch, sound with all controls in the middle, and give the same clip again
STK_INSTRUMENTS = (
    *("BeeThree", "BlowBotl", "BlowHole", "Bowed", "Brass", "Clarinet", "FMVoices", "Flute", "HevyMetl", "Mandolin"),
    *("ModalBar", "PercFlut", "Plucked", "Recorder", "Rhodey", "Saxofony", "Simple", "Sitar", "StifKarp", "TubeBell"),
    *("VoicForm", "Whistle", "Wurley"),
)
_PLAYED = {"bow_velocity", "breath_pressure", "frequency", "gain", "loudness_spectral_tilt", "volume"}  # the note's
_MOST = 128.0  # of a control
_RELEASE = 0.5  # of 1: how fast a key is released
_NOTE = parameter("note_number", 24, 96, 60, "MIDI note", "pitch, 69 is A4 = 440 Hz", step=1)
_SEED = 1  # of the noise, the same in every sound; 0 would be the time
_RENDERING = Lock()  # the sample rate and the generator of the noise belong to the process


def make_voice(source: str) -> Voice:
    """Return the voice of an STK instrument, such as Clarinet.

    Its parameters are the instrument's controls, 0 to 128, and its presets by name. Every clip is a note of a new
    instrument, which is released after the share `note_off` of the clip. Raises UserError for another name, and
    UnavailableError without the package.
    """
    if source not in STK_INSTRUMENTS:
        raise UserError(
            f"synth.source: {source} is no pitched instrument of STK.{did_you_mean(source, STK_INSTRUMENTS)} "
            f"Give one of {', '.join(STK_INSTRUMENTS)}"
        )
    kind = getattr(_stk(), source)
    controls = {name: number for name, number in getattr(kind, "CONTROL_IDS", {}).items() if name not in _PLAYED}
    presets = getattr(kind, "PRESET_IDS", {})
    specs = [_NOTE, SAW_MOOG.spec("note_velocity")]
    for name in sorted(controls):
        specs.append(_preset_spec(name, presets) if "preset" in name else _control_spec(name))
    render = partial(_render, source, controls)
    return Voice(source.lower(), tuple(specs), render, {"note_off": 0.8}, versions=_versions)


def _stk() -> ModuleType:
    try:
        import synthesistoolkit
    except ImportError as error:
        raise UnavailableError(
            "synth.voice: stk needs synthesistoolkit, which is not installed; install it with: "
            "uv pip install -e '.[stk]'"
        ) from error
    return synthesistoolkit


def _control_spec(name: str) -> ParameterSpec:
    return parameter(name, 0, _MOST, _MOST / 2, "", "", step=4)


def _preset_spec(name: str, presets: Mapping[str, int]) -> ParameterSpec:
    values = tuple(sorted(presets, key=presets.__getitem__))
    return ParameterSpec(name=name, min=0, max=len(values) - 1, values=values, default=0, description="preset")


def _render(
    source: str,
    controls: Mapping[str, int],
    parameters: Mapping[str, np.ndarray],
    sample_rate: float,
    num_samples: int,
    note_off: Any = 0.8,
) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32."""
    check_note_off(note_off)
    stk = _stk()
    end = round(note_off * num_samples)
    hz = note_to_hz(parameters["note_number"])
    clips = np.empty((num_samples, len(hz)), np.float32)
    for clip in range(len(hz)):
        given = {number: float(parameters[name][clip]) for name, number in controls.items()}
        with _RENDERING:
            stk.set_sample_rate(sample_rate)
            instrument = getattr(stk, source)()
            stk.Noise().set_seed(_SEED)
            _set_controls(instrument, given)
            instrument.note_on(float(hz[clip]), float(parameters["note_velocity"][clip]) / 127.0)
            _set_controls(instrument, given)  # again, since the note sets some of them, and others matter at its start
            clips[:end, clip] = instrument.tick(end)[0]
            instrument.note_off(_RELEASE)
            clips[end:, clip] = instrument.tick(num_samples - end)[0]
    return clips


def _set_controls(instrument: Any, values: Mapping[int, float]) -> None:
    for number, value in values.items():
        instrument.control_change(number, value)


def _versions(settings: Mapping[str, Any]) -> str:
    """Return the version of the package, and the platform, whose C library makes the noise."""
    return f"synthesistoolkit {version('synthesistoolkit')} on {sys.platform}"
