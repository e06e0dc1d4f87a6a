"""The schema of a `synth` config, and the validated synth that it describes."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from src.parameters.space import ParameterSpace
from src.parameters.spec import YAML_WORDS, ParameterSpec
from src.synth.sources import content_of, make_voice
from src.synth.voice import Voice
from src.utils.errors import UserError, did_you_mean, shown
from src.utils.files import path_text

log = logging.getLogger(__name__)


def _check_number(value: Any) -> Any:
    """Return a value of a config; raise ValueError for an integer that no float can represent."""
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ValueError("is too large for a number of 64 bits")
    return value


Value = Annotated[Any, AfterValidator(_check_number)]
_MOST_LETTERS = 200  # of the names and versions of what renders a source
_OPTIONAL = ("source", "engine", "preset", "auto")  # left out where they are not given: older programs do not know them


class SynthConfig(BaseModel):
    """A voice, its duration and sample rate, and its varying parameters.

    `parameters: auto`, or `auto: true` among the parameters, varies all parameters of the voice that are not given,
    except those of a note.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="part of the dataset's name")
    voice: str = Field(description="dotted path of a src.synth.voice.Voice, or faust, plugin or stk")
    source: str | None = Field(None, max_length=1_000_000, description="of voice: faust, plugin or stk")
    engine: str | None = Field(
        None, max_length=_MOST_LETTERS, description="version of what renders the source; found if null"
    )
    sample_rate: int = Field(ge=1000, le=192_000)
    duration: float = Field(gt=0, le=60)
    preset: str | None = Field(None, description="one of the voice's presets, for the parameters that are not given")
    settings: dict[str, Value] = {}
    auto: bool | None = None
    parameters: dict[str, dict[str, Value]]

    @model_validator(mode="before")
    @classmethod
    def _take_auto(cls, config: Any) -> Any:
        parameters = config.get("parameters") if isinstance(config, dict) else None
        if parameters == "auto":
            return {**config, "auto": True, "parameters": {}}
        if isinstance(parameters, dict) and isinstance(parameters.get("auto"), bool):
            rest = {name: entry for name, entry in parameters.items() if name != "auto"}
            return {**config, "auto": parameters["auto"] or None, "parameters": rest}
        return config

    @field_validator("parameters", mode="before")
    @classmethod
    def _hint_at_quotes(cls, parameters: Any) -> Any:
        for name in parameters if isinstance(parameters, dict) else ():
            if isinstance(name, bool):
                raise ValueError(f"a parameter is named {name}; {YAML_WORDS}:")
            if not isinstance(name, str):
                raise ValueError(f'a parameter is named {name}, which is not text; quote it, as in "{name}":')
        return parameters

    @model_serializer(mode="wrap")
    def _leave_out_missing(self, serialize: Any) -> dict[str, Any]:
        plain = serialize(self)
        return {key: value for key, value in plain.items() if value is not None or key not in _OPTIONAL}

    @property
    def num_samples(self) -> int:
        return round(self.duration * self.sample_rate)


@dataclass(frozen=True)
class Synth:
    """A validated config with its voice and the space of its parameters."""

    config: SynthConfig
    voice: Voice
    space: ParameterSpace

    def render(self, values: np.ndarray) -> np.ndarray:
        """Render varying values (V, P) to audio (T, V) float32; raise UserError if a sample is not finite."""
        config = self.config
        settings = {**self.voice.settings, **config.settings}
        parameters = self.space.complete(values)
        audio = self.voice.render(parameters, config.sample_rate, config.num_samples, **settings)
        finite = np.isfinite(audio).all(axis=0)
        if not finite.all():
            bad = int(np.argmin(finite))
            given = {name: float(column[bad]) for name, column in parameters.items()}
            raise UserError(f"voice {self.voice.name} renders non-finite samples for {given}; narrow the ranges")
        return audio


def load_synth(config: SynthConfig) -> Synth:
    """Return the synth of a config; a UserError names the invalid key.

    A parameter with {min, step, max} or {values} varies, one with {} over all that the voice allows, and one with
    {value} is fixed. A parameter that is not given has its value in the preset, or the voice's default, or varies if
    `auto` is set. The synth's config contains what a source's file contained.
    """
    source = content_of(config.voice, config.source)
    try:
        voice = make_voice(config.voice, source, config.settings)
    except UserError as error:
        if source == config.source:
            raise
        raise type(error)(str(error).replace("synth.source:", f"{path_text(config.source or '')}:", 1)) from error
    engine = voice.versions({**voice.settings, **config.settings}) if voice.versions else None
    engine = engine and engine[:_MOST_LETTERS]
    if engine and config.engine and engine != config.engine:
        log.warning("%s was rendered by %s, here by %s: sounds may differ", config.name, config.engine, engine)
    config = config.model_copy(update={"source": source, "engine": engine})
    for name in config.settings:
        if name not in voice.settings:
            raise UserError(
                f"synth.settings.{name}: voice {voice.name} has no such setting.{did_you_mean(name, voice.settings)}"
            )
    entries = dict(config.parameters)
    for name, value in _preset(voice, config.preset).items():
        entries.setdefault(name, {"value": value})
    given = {name: _parameter(voice, name, entry) for name, entry in entries.items()}
    rest = [spec for spec in voice.parameters if spec.name not in given]
    free = [spec for spec in rest if config.auto and spec.name not in voice.played]
    fixed = [_at_default(spec) for spec in rest if spec not in free]
    space = ParameterSpace([*given.values(), *free, *fixed])
    if not len(space):
        raise UserError("synth.parameters: no parameter varies; give at least one {min, step, max}")
    if len(space) > 255:
        raise UserError(f"synth.parameters: {len(space)} parameters vary; a VIMH record holds at most 255")
    return Synth(config, voice, space)


def _preset(voice: Voice, name: str | None) -> Mapping[str, float | str]:
    if name is None:
        return {}
    if name not in voice.presets:
        own = "give synth.settings.preset" if "preset" in voice.settings else "leave synth.preset out"
        remedy = did_you_mean(name, voice.presets) if voice.presets else f" It has none; {own}."
        raise UserError(f"synth.preset: voice {voice.name} has no preset {shown(name)}.{remedy}")
    return voice.presets[name]


def _at_default(spec: ParameterSpec) -> ParameterSpec:
    if spec.default is None:
        raise UserError(
            f"synth.parameters.{spec.name}: not given, and the voice has no default for it; give it a value"
        )
    return spec.fixed_at(spec.default)


def _parameter(voice: Voice, name: str, entry: dict[str, Any]) -> ParameterSpec:
    where = f"synth.parameters.{name}"
    try:
        allowed = voice.spec(name)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if not entry:
        return allowed
    entry = _with_range(where, dict(entry), allowed)
    kept = allowed.model_dump(include={"unit", "description", "scale", "kind", "default"})
    merged = {**kept, **entry, "name": name}
    for key in ("min", "max"):
        value = merged.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{where}.{key}: {shown(value)} is not a number; give min, step and max, or value")
        if not allowed.min <= value <= allowed.max:
            raise UserError(
                f"{where}.{key}: {value:g} is outside {allowed.min:g}..{allowed.max:g} {allowed.unit}".rstrip()
            )
    try:
        return ParameterSpec(**merged)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join([where, *map(str, fault["loc"])])
        given = f"{shown(fault['input'])} given; " if fault["loc"] else ""
        raise UserError(f"{where}: {given}{fault['msg'].removeprefix('Value error, ')}") from error


def _with_range(where: str, entry: dict[str, Any], allowed: ParameterSpec) -> dict[str, Any]:
    """Return a config's entry with min and max, which may follow from `value` or from the names of categories."""
    names = entry.get("values")
    value = entry.pop("value", None)
    if value is not None:  # has priority, so that +synth.parameters.NAME.value=... fixes a varying parameter
        if isinstance(value, bool):
            raise UserError(f"{where}.value: {value} is neither a number nor a name; {YAML_WORDS}")
        if isinstance(value, str):
            value = allowed.min + _find(f"{where}.value", [value], allowed.values or names)
        name = _names(allowed.values or names, allowed.min, value, value)
        return entry | {"min": value, "max": value, "step": 0.0, "values": name}
    if isinstance(names, list | tuple):
        first = allowed.min + (_find(f"{where}.values", names, allowed.values) if allowed.values else 0)
        return {"min": first, "max": first + len(names) - 1, **entry}
    return {**entry, "values": _names(allowed.values, allowed.min, entry.get("min"), entry.get("max"))}


def _find(where: str, names: Sequence[Any], known: Sequence[str] | None) -> int:
    """Return the index of the first name in a list that contains these names consecutively, in this order."""
    if not known:
        raise UserError(f"{where}: {names[0]!r} is not a number")
    for name in names:
        if name not in known:
            hint = f"; {YAML_WORDS}" if isinstance(name, bool) else f"; known: {', '.join(known)}"
            raise UserError(f"{where}: {name!r} given{hint}")
    first = known.index(names[0]) if names else 0
    if not names or list(known[first : first + len(names)]) != list(names):
        raise UserError(f"{where}: {list(names)} given; give consecutive names in the order of {', '.join(known)}")
    return first


def _names(known: Sequence[str] | None, first: float, low: Any, high: Any) -> Sequence[str] | None:
    """Return the names of categories low .. high; `known` are the names from `first` on, and None gives None."""
    if not isinstance(known, list | tuple) or not all(isinstance(end, int | float) for end in (low, high)):
        return None
    return known[max(0, round(low - first)) : round(high - first) + 1] or None
