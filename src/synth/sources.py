"""Voices that are made from a source of sound outside this program, such as a Faust program."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from src.synth.voice import Voice, load_voice, require_voice
from src.utils.errors import UserError, shown

SCHEMES = ("faust", "plugin", "stk")  # values of `synth.voice` that are not dotted paths


def make_voice(voice: str, source: str | None, settings: Mapping[str, Any]) -> Voice:
    """Return the voice of a config: a scheme's from its source, any other by dotted path."""
    if voice == "faust":
        from src.synth.faust.voice import make_voice as make_faust_voice

        return make_faust_voice(_required(voice, source))
    if voice == "plugin":
        from src.synth.plugin.voice import make_voice as make_plugin_voice

        return make_plugin_voice(_required(voice, source), settings.get("preset"))
    if voice == "stk":
        from src.synth.stk import make_voice as make_stk_voice

        return make_stk_voice(_required(voice, source))
    if "." not in voice:
        raise UserError(f"synth.voice: {shown(voice)} given; give module.NAME of a Voice, or {', '.join(SCHEMES)}")
    if source is not None:
        raise UserError(
            f"synth.source: {shown(source)} given, but voice {voice} takes none; give voice: {', '.join(SCHEMES)}"
        )
    return load_voice(voice)


def content_of(voice: str, source: str | None) -> str | None:
    """Return a config's source with the content of a file in place of its path, so that a recipe holds all it needs."""
    if voice == "faust":
        from src.synth.faust.program import read_source

        return read_source(_required(voice, source))
    if voice == "plugin" and source and "://" not in source:
        return str(Path(source).expanduser())
    return source


def require_source(voice: str, source: str | None, trust: Iterable[str]) -> None:
    """Raise UserError unless what a file names as voice is built in or trusted, as src.synth.voice.require_voice.

    A plug-in is a program, and a Faust program can call any function of the system's libraries. So `plugin` or `faust`
    must be trusted, except for one of Faust's own models.
    """
    if voice not in SCHEMES:
        require_voice(voice, trust)
        return
    from src.synth.faust.program import is_library_model

    if voice == "stk":  # a name in a list
        return
    if voice in trust or (voice == "faust" and source and is_library_model(source)):
        return
    what = {"faust": "a Faust program", "plugin": f"the plug-in {shown(source)}"}[voice]
    raise UserError(f"its sounds come from {what}, which can run any code; if you trust it, give trust=[{voice}]")


def _required(voice: str, source: str | None) -> str:
    if source:
        return source
    kinds = {
        "faust": "the path of a .dsp file, a program, or pm.NAME",
        "plugin": "a path, or the URI of an LV2 plug-in",
        "stk": "an instrument, such as Clarinet",
    }
    raise UserError(f"synth.source: voice {voice} needs one; give {kinds[voice]}")
