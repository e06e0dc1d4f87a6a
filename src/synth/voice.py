"""A sound source: its parameters, its settings and a function that renders a batch."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError, did_you_mean, one_line, shown
from src.utils.trust import how_to_trust, is_dotted, names_module

# any dataset or checkpoint may name them
OUR_VOICES = frozenset(
    {
        "src.synth.additive.ADDITIVE",
        "src.synth.fm.FM",
        "src.synth.inversynth.INVERSYNTH",
        "src.synth.karplus_strong.KARPLUS_STRONG",
        "src.synth.faust.instruments.INSTRUMENTS",
        "src.synth.saw_moog.SAW_MOOG",
        "src.synth.saw_moog.SAW_MOOG_LOG",
        "src.synth.two_oscillators.TWO_OSCILLATORS",
    }
)


@dataclass(frozen=True)
class Voice:
    """A sound source.

    `render(parameters, sample_rate, num_samples, **settings)` takes all parameters by name as (V,) float64 and returns
    (T, V) float32, full scale +-1. `parameters` defines the allowed range and the default of each parameter, `settings`
    the defaults of options that are never labels. `differentiable`, if there is one, renders the same sounds from
    torch tensors (B,) with gradients, to (B, T) on their device. `presets` are named sets of values that replace
    defaults. `played` names the parameters of a note, such as its pitch, which `parameters: auto` does not vary.
    `versions(settings)`, if there is one, names the versions of programs outside this one that compute the sounds.
    """

    name: str
    parameters: tuple[ParameterSpec, ...]
    render: Callable[..., np.ndarray]
    settings: Mapping[str, Any] = field(default_factory=dict)
    differentiable: Callable[..., Any] | None = None
    presets: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    played: frozenset[str] = frozenset({"note_number", "note_velocity"})
    versions: Callable[[Mapping[str, Any]], str] | None = None

    def spec(self, name: str) -> ParameterSpec:
        """Return a parameter with its allowed range; raise UserError if none has that name."""
        by_name = {spec.name: spec for spec in self.parameters}
        if name not in by_name:
            raise UserError(f"voice {self.name} has no parameter '{name}'.{did_you_mean(name, by_name)}")
        return by_name[name]


def parameter(
    name: str, low: float, high: float, default: float, unit: str, description: str, **more: Any
) -> ParameterSpec:
    """Return a parameter of a voice, with the range that the voice allows."""
    return ParameterSpec(name=name, min=low, max=high, default=default, unit=unit, description=description, **more)


def load_voice(path: str) -> Voice:
    """Import a Voice by dotted path, such as `src.synth.saw_moog.SAW_MOOG`; raise UserError if it is not a Voice.

    Importing runs the module, so a path from a file, unlike the user's own config, is first checked by `require_voice`.
    """
    module_name, _, attribute = path.rpartition(".")
    if not module_name or not is_dotted(path):
        raise UserError(f"synth.voice: {shown(path)} given; give module.NAME of a Voice")
    try:
        voice = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        cause = one_line(error)
        raise UserError(f"synth.voice: cannot import '{path}' ({cause}); give module.NAME of a Voice") from error
    if not isinstance(voice, Voice):
        raise UserError(f"synth.voice: '{path}' is a {type(voice).__name__}, not a src.synth.voice.Voice")
    return voice


def require_voice(path: str, trust: Iterable[str]) -> None:
    """Raise UserError unless a voice that a file names is built in, or the user trusts it or its module."""
    if path not in OUR_VOICES and not names_module(path, trust):
        raise UserError(f"its voice {shown(path, 120)} is not built in; {how_to_trust(path)}")
