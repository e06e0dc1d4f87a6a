"""The schema of a `synth` config: checked before any work, and the only way to a ParameterSpace."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from src.synth.parameters import ParameterSpace, ParameterSpec
from src.synth.voice import Voice, load_voice
from src.utils.errors import UserError, did_you_mean, shown


class SynthConfig(BaseModel):
    """A voice, how long and at what rate it plays, and which of its parameters vary."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9_]+$", description="stands in the dataset's name")
    voice: str = Field(description="dotted path of a src.synth.voice.Voice")
    sample_rate: int = Field(ge=1000, le=192_000)
    duration: float = Field(gt=0, le=60)
    settings: dict[str, Any] = {}
    parameters: dict[str, dict[str, Any]]

    @property
    def num_samples(self) -> int:
        return round(self.duration * self.sample_rate)


@dataclass(frozen=True)
class Synth:
    """A checked config with its voice and the space of its parameters."""

    config: SynthConfig
    voice: Voice
    space: ParameterSpace

    def render(self, values: np.ndarray) -> np.ndarray:
        """Render varying values (V, P) to audio (T, V) float32; UserError when a sample is not finite."""
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
    """Return the voice and the space that a config asks for; UserError names the key at fault.

    A parameter is given as {min, step, max} (it varies) or {value} (fixed); one that is not given
    keeps the voice's default.
    """
    voice = load_voice(config.voice)
    for name in config.settings:
        if name not in voice.settings:
            raise UserError(f"synth.settings.{name}: unknown to {voice.name}.{did_you_mean(name, voice.settings)}")
    given = {name: _parameter(voice, name, entry) for name, entry in config.parameters.items()}
    rest = [
        spec.model_copy(update={"min": spec.default, "max": spec.default, "step": 0.0})
        for spec in voice.parameters
        if spec.name not in given
    ]
    space = ParameterSpace([*given.values(), *rest])
    if not len(space):
        raise UserError("synth.parameters: none of them varies; give at least one {min, step, max}")
    if len(space) > 255:
        raise UserError(f"synth.parameters: {len(space)} vary; a VIMH record holds at most 255")
    return Synth(config, voice, space)


def _parameter(voice: Voice, name: str, entry: dict[str, Any]) -> ParameterSpec:
    where = f"synth.parameters.{name}"
    try:
        allowed = voice.spec(name)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    entry = dict(entry)
    value = entry.pop("value", None)
    if value is not None:  # wins, so that +synth.parameters.NAME.value=... fixes one that a config varies
        entry |= {"min": value, "max": value, "step": 0.0}
    merged = {**allowed.model_dump(include={"unit", "description", "scale", "kind", "default"}), **entry, "name": name}
    for key in ("min", "max"):
        value = merged.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{where}.{key}: {shown(value)} is not a number; give min, step and max, or value")
        if not allowed.min <= value <= allowed.max:
            raise UserError(
                f"{where}.{key}: {shown(value)} is outside {allowed.min:g}..{allowed.max:g} {allowed.unit}".rstrip()
            )
    try:
        return ParameterSpec(**merged)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join([where, *map(str, fault["loc"])])
        given = f"{shown(fault['input'])} given; " if fault["loc"] else ""
        raise UserError(f"{where}: {given}{fault['msg'].removeprefix('Value error, ')}") from error
