"""A dataset's description as one object: inputs, targets and origin."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from src.data.inputs import Inputs, Shape
from src.data.spec_schema import PlainSpec, Sensitivity
from src.parameters.space import ParameterSpace
from src.spectral.config import SpectralConfig
from src.utils.errors import UserError
from src.utils.invalid import describe

_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Origin:
    """The sounds that a dataset's images show, and how both were made; None where that is not known."""

    sample_rate: float | None = None
    duration: float | None = None  # s
    synth_type: str = "unknown"
    spectral: SpectralConfig | None = None
    generator: dict[str, Any] | None = None  # {synth, seed, config, program_version}
    sensitivity: list[Sensitivity] = field(default_factory=list)

    @property
    def recipe(self) -> dict[str, Any] | None:
        """The config from which this program generated the dataset, not yet checked; None if no synth made it."""
        config = (self.generator or {}).get("config")
        return config if isinstance(config, dict) and "audio_folder" not in config else None


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset's inputs, targets and origin: everything that a model, a checkpoint or a report needs.

    `targets` are the parameters behind each image; a class is a parameter of kind categorical. They are None if the
    dataset has no labels. `map_classes` names the classes of its maps, which say for each pixel what is there.
    """

    name: str
    inputs: Inputs
    targets: ParameterSpace | None
    origin: Origin = Origin()
    counts: dict[str, int] = field(default_factory=dict)
    metadata_bytes: int | None = None  # of a VIMH record: 14 (version 2.1) or 6; None if the JSON does not contain it
    sha256: dict[str, str] = field(default_factory=dict)
    map_classes: tuple[str, ...] = ()

    @property
    def image_shape(self) -> Shape:
        """The shape (C, H, W) of the images."""
        return self.inputs.shape

    @property
    def space(self) -> ParameterSpace:
        """The parameters; raises UserError for a dataset without labels."""
        if self.targets is None:
            task = "task=segment, which uses its maps" if self.map_classes else "task=features, which needs none"
            raise UserError(f"{self.name}: has no labels; give another dataset, or {task}")
        return self.targets

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers, for a checkpoint."""
        inputs = asdict(self.inputs)
        plain = {
            "name": self.name,
            "image_shape": inputs.pop("shape"),
            "inputs": inputs,
            **{key: getattr(self.origin, key) for key in _PLAIN_ORIGIN},
            "spectral": self.origin.spectral and self.origin.spectral.model_dump(mode="json"),
            "sensitivity": [row.model_dump() for row in self.origin.sensitivity],
            **{key: getattr(self, key) for key in ("counts", "metadata_bytes", "sha256")},
            "parameters": [] if self.targets is None else self.targets.to_dicts(),
            **({"map_classes": self.map_classes} if self.map_classes else {}),  # older programs do not know the key
        }
        return json.loads(json.dumps(plain))

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "DatasetSpec":
        """Build from plain containers, the inverse of `to_dict`; a UserError names the invalid key."""
        checked = _checked(PlainSpec, plain, "dataset_spec")
        inputs = _checked(Inputs, {**checked.inputs, "shape": checked.image_shape}, "dataset_spec.inputs")
        rest = checked.model_dump(mode="json", include={"counts", "metadata_bytes", "sha256"})
        origin = {key: getattr(checked, key) for key in (*_PLAIN_ORIGIN, "spectral", "sensitivity")}
        return cls(
            inputs=inputs,
            targets=ParameterSpace(checked.parameters) if checked.parameters else None,
            origin=Origin(**origin),
            name=checked.name,
            map_classes=checked.map_classes,
            **rest,
        )


def _checked(kind: type[_Kind], plain: Mapping[str, Any], where: str) -> _Kind:
    try:
        return TypeAdapter(kind).validate_python(plain)
    except ValidationError as error:
        raise UserError(describe(error, where)) from error


_PLAIN_ORIGIN = ("sample_rate", "duration", "synth_type", "generator")


def hop_samples(spec: DatasetSpec) -> int | None:
    """Return the distance of two frames in samples, also where the config says auto; None if it is not known."""
    origin = spec.origin
    if origin.spectral is None or origin.duration is None or origin.sample_rate is None:
        return None
    return origin.spectral.hop_samples(origin.spectral.n_window, round(origin.duration * origin.sample_rate))
