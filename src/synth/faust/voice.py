"""A Faust program as a voice: its controls become parameters, and its note, level and gate are played."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.discovered import check_note_off, discovered_spec, unique_names
from src.synth.faust import engine as dawdreamer_engine
from src.synth.faust import native
from src.synth.faust.program import Control, describe_program, engine_version, is_library_model
from src.synth.saw_moog import A4_HZ, A4_NOTE, note_to_hz
from src.synth.voice import Voice
from src.utils.errors import UnavailableError, UserError

NOTE_LABELS, LEVEL_LABELS, GATE_LABEL = ("freq", "key"), ("gain", "vel"), "gate"  # as in Faust's polyphonic programs
_PLAYED_MIDI = ("pitchwheel", "ctrl 64")  # the pitch wheel and the pedal: part of playing, not of the sound
_PLAYED_LABELS = ("outGain",)  # of the library's models: the volume of the output
_MOST_CLASSES = 64  # of a control with a fine step, as sliders have
ENGINES = ("auto", "c", "dawdreamer")  # auto: c if there is a compiler
_MENU = re.compile(r"(?:menu|radio)\{(.*)\}")


@dataclass(frozen=True)
class _Plan:
    """Which controls a voice sets: addresses by parameter, and the controls of a note, of its level and of its gate."""

    source: str
    addresses: Mapping[str, str]
    notes: tuple[Control, ...]
    levels: tuple[Control, ...]
    gates: tuple[str, ...]


def make_voice(source: str) -> Voice:
    """Return the voice of a Faust program: a name in Faust's library, as pm.clarinet_ui_MIDI, or a program's text.

    The parameters are the program's sliders, entries and checkboxes. `note_number` sets the controls with the label
    `freq` [Hz] or `key`, `note_velocity` those with the label `gain` (velocity / 127) or `vel`; those with the label
    `gate` are on from the clip's start until the share `note_off` of its length. Raises UserError for a program that is
    not valid, has inputs or has nothing to set, and UnavailableError without DawDreamer.
    """
    program = describe_program(source)
    if program.num_inputs or not program.num_outputs:
        raise UserError(
            f"synth.source: inputs: {program.num_inputs}, outputs: {program.num_outputs}; give a program that makes a "
            "sound by itself"
        )
    notes, levels, gates = (
        tuple(control for control in program.controls if control.label in labels)
        for labels in (NOTE_LABELS, LEVEL_LABELS, (GATE_LABEL,))
    )
    specs = [_note_spec(notes[0])] if notes else []
    specs += [_LEVEL] if levels else []
    played = {spec.name for spec in specs}
    rest = [c for c in program.controls if c not in (*notes, *levels, *gates) and c.kind != "button"]
    names = unique_names([control.label for control in rest], [control.address.split("/", 2)[2] for control in rest])
    for name, control in zip(names, rest, strict=True):
        specs.append(_spec(name, control))
        if control.metadata.get("midi") in _PLAYED_MIDI or control.label in _PLAYED_LABELS:
            played.add(name)
    if not specs:
        raise UserError("synth.source: the program has no slider, entry or checkbox, so there is nothing to learn")
    addresses = {name: control.address for name, control in zip(names, rest, strict=True)}
    plan = _Plan(source, addresses, notes, levels, tuple(control.address for control in gates))
    settings = {"engine": "auto"} | ({"note_off": 0.8} if gates else {})
    name = source if is_library_model(source) else "faust"
    return Voice(name, tuple(specs), partial(_render, plan), settings, played=frozenset(played), versions=versions)


def _render(
    plan: _Plan,
    parameters: Mapping[str, np.ndarray],
    sample_rate: float,
    num_samples: int,
    engine: Any = "auto",
    note_off: Any = 1.0,
) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32; a note ends at a multiple of 64 samples."""
    check_note_off(note_off)
    values = {address: parameters[name] for name, address in plan.addresses.items()}
    for control in plan.notes:
        note = parameters["note_number"]
        values[control.address] = note_to_hz(note) if control.label == "freq" else note
    for control in plan.levels:
        velocity = parameters["note_velocity"]
        level = velocity / 127.0 if control.label == "gain" else velocity
        values[control.address] = np.clip(level, control.low, control.high)
    block = dawdreamer_engine.BLOCK
    end = -(-round(note_off * num_samples) // block) * block
    render_clips = native.render_clips if uses_compiler(engine) else dawdreamer_engine.render_clips
    return render_clips(plan.source, int(sample_rate), num_samples, values, plan.gates, end)


def uses_compiler(engine: Any) -> bool:
    """Return whether a setting `engine` means the C compiler; raise UserError if it is none or there is no compiler."""
    if engine not in ENGINES:
        raise UserError(f"synth.settings.engine: {engine!r} given; give one of {', '.join(ENGINES)}")
    if engine == "c" and native.find_compiler() is None:
        raise UnavailableError("synth.settings.engine: c given, but no C compiler is installed; give dawdreamer")
    return engine != "dawdreamer" and native.find_compiler() is not None


def versions(settings: Mapping[str, Any]) -> str:
    """Return the versions of the engine that settings choose, on which the last digits of a sound depend."""
    engine = settings.get("engine", "auto")
    return engine_version() + (f", {native.compiler_version()}" if uses_compiler(engine) else "")


_LEVEL = ParameterSpec(name="note_velocity", min=0, max=127, default=100, unit="MIDI velocity", description="level")


def _note_spec(control: Control) -> ParameterSpec:
    """Return the parameter of the MIDI note that a control for a frequency or a key allows."""
    low, default, high = control.low, control.initial, control.high
    if control.label == "freq":
        low, default, high = (A4_NOTE + 12 * np.log2(max(value, 1e-3) / A4_HZ) for value in (low, default, high))
    low, high = max(low, 0.0), min(high, 127.0)
    default = round(min(max(default, low), high), 4)
    return discovered_spec(
        control.label,
        name="note_number", min=low, max=high, default=default, unit="MIDI note", description="pitch",
    )  # fmt: skip


def _spec(name: str, control: Control) -> ParameterSpec:
    """Return the parameter of a control; a step of more than 64 classes is multiplied by a whole number."""
    more: dict[str, Any] = {"unit": control.metadata.get("unit", "")}
    more["description"] = control.metadata.get("tooltip", "")
    names = _category_names(control)
    if names:
        return discovered_spec(control.label, name=name, values=names, min=control.low, default=control.initial, **more)
    low, high = control.low, control.high
    if control.metadata.get("scale") == "log" and low > 0:
        more["scale"] = "log"
    if low < high:
        coarse = (high - low) / (_MOST_CLASSES - 1)
        step = math.ceil(round(coarse / control.step, 6)) * control.step if control.step > 0 else coarse
        more["step"] = min(round(step, 7), high - low)
    kind = "ordinal" if control.kind == "entry" else "continuous"
    return discovered_spec(control.label, name=name, min=low, max=high, default=control.initial, kind=kind, **more)


def _category_names(control: Control) -> list[str]:
    """Return the names of a checkbox's or a menu's choices, empty if the control is neither."""
    if control.kind == "checkbox":
        return ["off", "on"]
    menu = _MENU.fullmatch(control.metadata.get("style", ""))
    if not menu:
        return []
    choices = re.findall(r"'([^']*)'\s*:\s*([^;]+)", menu[1])
    numbers = [float(number) for _, number in choices]
    consecutive = numbers == [control.low + at for at in range(len(numbers))] and numbers[-1:] == [control.high]
    return [name for name, _ in choices] if consecutive else []
