"""What a Faust program says of itself: its controls, with ranges, units and scales, and its channels.

Faust's own compiler, which DawDreamer contains, translates the program to C. The C names every control with the
decimal numbers and the metadata of the program text, which DawDreamer's list of parameters rounds or leaves out.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import RLock
from typing import Any

from src.utils.errors import UnavailableError, UserError, shown
from src.utils.files import require_content

COMPILING = RLock()  # Faust's compiler has global state: two threads that compile at once never return
ROOT_BOX = "dawdreamer"  # the name that DawDreamer gives to every program, and so the first part of each address
_LIBRARY_MODEL = re.compile(r"pm\.\w+")
_MOST_LETTERS = 1_000_000  # of a program
_WIDGETS = {"HorizontalSlider": "slider", "VerticalSlider": "slider", "NumEntry": "entry", "Button": "button"}
_WIDGETS["CheckButton"] = "checkbox"
_REPLACED = r"[ #*,/?\[\]{}()]"  # characters that Faust's paths do not have
_CALL = re.compile(r"ui_interface->(\w+)\(ui_interface->uiInterface(.*)\);")


@dataclass(frozen=True)
class Control:
    """A slider, entry, button or checkbox of a program: DawDreamer calls it `address`, the C text `zone`."""

    label: str
    address: str
    zone: str
    kind: str  # slider, entry, button or checkbox
    initial: float = 0.0
    low: float = 0.0
    high: float = 1.0
    step: float = 1.0
    metadata: dict[str, str] = field(default_factory=dict)  # unit, scale, tooltip, style, midi, ...


@dataclass(frozen=True)
class Program:
    """A Faust program's translation to C, its controls and its numbers of channels."""

    c_text: str = field(repr=False)
    controls: tuple[Control, ...]
    num_inputs: int
    num_outputs: int


def writes_tables(program: Program) -> bool:
    """Return whether clips may leave something in a table of the program, which only a new instance clears."""
    return re.search(r"dsp->[fi]tbl\d", program.c_text) is not None  # those that are only read are not part of it


def is_library_model(source: str) -> bool:
    """Return whether a source is the name of a physical model in Faust's library, such as pm.clarinet_ui_MIDI."""
    return _LIBRARY_MODEL.fullmatch(source) is not None


def read_source(source: str) -> str:
    """Return a program's text from the path of a .dsp file; a model's name or a program's text is returned as it is.

    Raises UserError if the file cannot be read, or if a source is none of these.
    """
    if not source.endswith(".dsp") or "\n" in source:
        if "=" not in source and not is_library_model(source):  # every program defines `process`
            raise UserError(
                f"synth.source: {shown(source)} is neither the path of a .dsp file nor a program; give one of them, or "
                "a model of Faust's library, such as pm.clarinet_ui_MIDI"
            )
        return source
    path = Path(source).expanduser()
    require_content(path, "give the path of a Faust program, its text, or pm.NAME")
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"synth.source: {path} cannot be read as text; give a Faust program") from error
    if len(text) > _MOST_LETTERS:
        raise UserError(f"synth.source: {path} has {len(text):,} letters, more than {_MOST_LETTERS:,}")
    return text


def code_of(source: str) -> str:
    """Return the Faust program of a source: of a model's name, the program that plays it."""
    return f'import("stdfaust.lib"); process = {source};' if is_library_model(source) else source


def dawdreamer() -> Any:
    """Import DawDreamer; raise UnavailableError if it is not installed."""
    try:
        import dawdreamer as module
    except ImportError as error:
        raise UnavailableError(
            "synth.voice: it needs DawDreamer, which is not installed; install it with: uv pip install -e '.[faust]'"
        ) from error
    return module


def engine_version() -> str:
    """Return the version of the engine that renders Faust programs; raise UnavailableError if there is none."""
    try:
        return f"dawdreamer {version('dawdreamer')}"
    except PackageNotFoundError:
        dawdreamer()
        raise


@lru_cache(maxsize=16)
def describe_program(source: str) -> Program:
    """Compile a source and return what it says of itself; raise UserError with Faust's message if it is not valid."""
    engine = dawdreamer()
    from dawdreamer.faust import FaustContext
    from dawdreamer.faust.box import boxFromDSP, boxToSource

    libraries = Path(engine.__path__[0]) / "faustlibraries"
    with COMPILING, FaustContext():
        try:
            text = boxToSource(boxFromDSP(code_of(source)), "c", "mydsp", ["-I", str(libraries)])
        except RuntimeError as error:
            fault = fault_of(error)
            if is_library_model(source):
                fault += f"; {source} is no model of Faust's library, give one such as pm.clarinet_ui_MIDI"
            raise UserError(f"synth.source: {fault}") from error
    if "computemydsp" not in text:
        raise UserError(f"synth.source: {fault_of(RuntimeError(text))}")
    channels = dict(re.findall(r"getNum(\w+)mydsp\(mydsp\* RESTRICT dsp\) {\s*return (\d+);", text))
    controls = tuple(_controls(text))
    for address, count in Counter(control.address for control in controls).items():
        if count > 1:
            raise UserError(f"synth.source: {count} controls are called {address}; give them different labels")
    return Program(text, controls, int(channels["Inputs"]), int(channels["Outputs"]))


def fault_of(error: RuntimeError) -> str:
    """Return Faust's message on one line; its line numbers count a line that DawDreamer adds."""
    text = " ".join(str(error).split()).partition(" Check the faustlibraries path")[0]
    if not text or text.startswith("ASSERT"):
        return "Faust itself fails on this program; has it an output?"
    text = text.removeprefix("ERROR : ").rstrip(" .")
    if text.startswith("unable to open file"):
        text += "; the program must be one file, which may import Faust's own libraries"
    return re.sub(rf"{ROOT_BOX}:(\d+) : ERROR : ", lambda found: f"line {int(found[1]) - 1}: ", text)


def _controls(text: str) -> Iterator[Control]:
    """Yield the controls that the C text of a program builds, in the order of the program's groups."""
    boxes: list[str] = []
    metadata: dict[str, dict[str, str]] = {}
    for call, arguments in _CALL.findall(text):
        words = re.findall(r'"([^"]*)"', arguments)  # Faust's texts hold no quotation marks
        rest = re.sub(r'"[^"]*"', "", arguments)
        zone = re.search(r"&dsp->(\w+)", rest)
        if call.startswith("open"):
            boxes.append(words[0])
        elif call == "closeBox":
            boxes.pop()
        elif call == "declare" and zone:
            metadata.setdefault(zone[1], {})[words[0]] = words[1]
        elif zone and call.removeprefix("add") in _WIDGETS:
            numbers = [float(number) for number in re.findall(r"\(FAUSTFLOAT\)([^,)f]+)f", rest)]
            address = "".join(f"/{re.sub(_REPLACED, '_', part)}" for part in (*boxes, words[0]))
            kind = _WIDGETS[call.removeprefix("add")]
            range_ = dict(zip(("initial", "low", "high", "step"), numbers, strict=False))  # a button has none
            yield Control(words[0], address, zone[1], kind, metadata=metadata.get(zone[1], {}), **range_)
