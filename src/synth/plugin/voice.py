"""A plug-in as a voice: VST2 and VST3 by path, LV2 by URI, hosted by DawDreamer."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from src.parameters.spec import ParameterSpec
from src.synth.discovered import check_note_off, unique_names
from src.synth.faust.program import dawdreamer, engine_version
from src.synth.plugin.host import Host, LostClip, Note
from src.synth.plugin.parameters import Knob, describe_knob
from src.synth.voice import Voice
from src.utils.errors import UserError, shown

log = logging.getLogger(__name__)

_LIST_RATE = 44100  # Hz at which a plug-in is asked for its parameters
_MOST_LOST = 10  # clips of a run
_idle: dict[tuple[str, str | None, int], list[Host]] = {}  # processes of a plug-in that no thread uses now
_lost: list[str] = []


def make_voice(source: str, preset: str | None = None) -> Voice:
    """Return the voice of a plug-in; raise UserError if it cannot be loaded, and UnavailableError without DawDreamer.

    Its parameters have the names of the plug-in, and the ranges and categories that the plug-in's texts show, otherwise
    0 to 1; `preset`, an .fxp or .vstpreset file, gives their defaults. Every clip is a note (`note_number`, rounded,
    and `note_velocity`) of a new instance, which is released after the share `note_off` of the clip. With `reuse`, one
    instance plays all clips, which is faster, but then a clip may depend on those before it.
    """
    dawdreamer()
    _require_plugin(source)
    preset = _path_of(preset)
    _lost.clear()
    knobs = _knobs(source, preset)
    specs = (_NOTE, _LEVEL, *(knob.spec for knob in knobs))
    settings = {"note_off": 0.8, "reuse": False, "preset": None}
    name = Path(source).stem if "://" not in source else source.rpartition("/")[2].rpartition("#")[2]
    played = frozenset({"note_number", "note_velocity"})
    render = partial(_render, source, tuple(knobs))
    return Voice(name, specs, render, settings, played=played, versions=partial(_versions, source))


_NOTE = ParameterSpec(name="note_number", min=0, max=127, step=1, default=60, unit="MIDI note", description="pitch")
_LEVEL = ParameterSpec(name="note_velocity", min=1, max=127, step=1, default=100, unit="MIDI velocity")


def _require_plugin(source: str) -> None:
    if "://" not in source and not Path(source).exists():
        raise UserError(
            f"synth.source: {source} does not exist; give the path of a VST plug-in, or the URI of an LV2 one"
        )


@lru_cache(maxsize=8)
def _knobs(source: str, preset: str | None) -> tuple[Knob, ...]:
    host = Host(source, preset, _LIST_RATE)
    try:
        rows = host.describe()
    finally:
        host.close()
    labels = [row["name"] for row in rows]
    names = unique_names(labels, [f"parameter {label} {row['index']}" for label, row in zip(labels, rows, strict=True)])
    return tuple(describe_knob(row, name) for row, name in zip(rows, names, strict=True))


def _path_of(preset: Any) -> str | None:
    """Return the path of a preset's file; raise UserError if there is no such file."""
    if preset is None:
        return None
    if not isinstance(preset, str) or not Path(preset).expanduser().is_file():
        raise UserError(f"synth.settings.preset: {shown(preset)} given; give the path of an .fxp or .vstpreset file")
    return str(Path(preset).expanduser().absolute())


@contextmanager
def _host(source: str, preset: str | None, sample_rate: int) -> Iterator[Host]:
    """Lend a process for a plug-in, which no other thread uses meanwhile; it is started if none is idle."""
    key = (source, preset, sample_rate)
    idle = _idle.setdefault(key, [])
    try:
        host = idle.pop()
    except IndexError:
        host = Host(*key)
    with ExitStack() as interrupted:  # an answer may still come, which is none to the next question
        interrupted.callback(host.close)
        yield host
        interrupted.pop_all()
    idle.append(host)


def _render(
    source: str,
    knobs: Sequence[Knob],
    parameters: Mapping[str, np.ndarray],
    sample_rate: float,
    num_samples: int,
    note_off: Any = 0.8,
    reuse: Any = False,
    preset: Any = None,
) -> np.ndarray:
    """Render parameters (V,) float64 each -> (T, V) float32; a lost clip is silent, and logged with its parameters."""
    check_note_off(note_off)
    if not isinstance(reuse, bool):
        raise UserError(f"synth.settings.reuse: {reuse!r} given; give true or false")
    own = {knob.index: knob.to_plugin(parameters[knob.spec.name]) for knob in knobs}
    seconds = num_samples / sample_rate
    clips = np.zeros((num_samples, len(parameters["note_number"])), np.float32)
    with _host(source, _path_of(preset), int(sample_rate)) as host:
        for clip in range(clips.shape[1]):
            values = {index: float(np.clip(column[clip], 0.0, 1.0)) for index, column in own.items()}
            number, velocity = (round(float(parameters[name][clip])) for name in ("note_number", "note_velocity"))
            note = Note(number, max(1, velocity), note_off * seconds, seconds + 0.5 / sample_rate)
            try:
                audio = host.render(values, note, reuse)
            except LostClip as error:
                _tell_lost(source, {name: float(column[clip]) for name, column in parameters.items()}, error)
                continue
            clips[:, clip] = audio[:, :num_samples].mean(axis=0)
    return clips


def _tell_lost(source: str, given: Mapping[str, float], error: LostClip) -> None:
    _lost.append(f"{source}: a clip is lost and silent, because {error}; its parameters: {dict(given)}")
    log.warning(_lost[-1])
    if len(_lost) > _MOST_LOST:
        raise UserError(f"{source}: {len(_lost)} clips are lost; the last because {error}; narrow the ranges")


def _versions(source: str, settings: Mapping[str, Any]) -> str:
    """Return the versions of DawDreamer and of the plug-in's and the preset's files."""
    files = [Path(name) for name in (source, _path_of(settings.get("preset"))) if name and "://" not in name]
    return ", ".join([engine_version(), *(f"{path.name} sha256 {_digest(path)}" for path in files)])


def _digest(path: Path) -> str:
    """Return the beginning of the SHA-256 of a file, or of all files of a bundle in the order of their names."""
    found = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            found.update(file.read_bytes())
    return found.hexdigest()[:16]
