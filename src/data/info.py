"""A dataset's vimh_dataset_info.json, of this program or of its predecessor, read and written."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from src.data.inputs import Inputs
from src.data.paths import Location
from src.data.spec import DatasetSpec, Origin, hop_samples
from src.data.spec_schema import Count, DatasetName, SampleRate, Seconds, Sensitivity, Size, as_name, check_sizes
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec, Word
from src.spectral.config import SpectralConfig
from src.utils.errors import UserError
from src.utils.files import require_content
from src.utils.invalid import describe

INFO_FILE = "vimh_dataset_info.json"
MAX_INFO_BYTES = 2 * 2**20  # a description has about 10 kB; checking 2 MiB may take a second and 200 MB
_REMEDY = "restore the file or make the dataset again"

_MOST_PARAMETERS = 1000  # including fixed parameters, of which a plug-in may have hundreds


class _Info(BaseModel):
    """The keys of the JSON that reading depends on; all others are accepted."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    height: Size
    width: Size
    channels: Size
    parameter_names: list[Annotated[str, Field(max_length=200)]] = Field(min_length=1, max_length=255)
    parameter_mappings: dict[str, dict[str, Any]] = Field(max_length=_MOST_PARAMETERS)
    fixed_parameters: dict[str, Any] = Field({}, max_length=_MOST_PARAMETERS)
    train_samples: Count | None = None
    val_samples: Count | None = None
    test_samples: Count | None = None
    sample_rate: SampleRate | None = None
    duration: Seconds | None = None
    dataset_name: DatasetName = ""
    synth_type: Word = "unknown"
    channel_labels: list[str] = Field([], max_length=65535)
    label_encoding: dict[str, Any] = {}
    spectrogram_config: dict[str, Any] = {}
    mel_config: dict[str, Any] | None = None
    pre_emphasis_coefficient: float | None = None
    image_scaling: dict[str, Any] | None = None
    generator: dict[str, Any] | None = None
    sensitivity: list[Sensitivity] = Field([], max_length=255)
    sha256: dict[Word, Word] = Field({}, max_length=_MOST_PARAMETERS)

    @field_validator("parameter_names")
    @classmethod
    def _check_names(cls, names: list[str]) -> list[str]:
        for name in names:
            if not name.isprintable():
                raise ValueError(f"{name!r} holds characters that cannot be printed")
        return names

    @model_validator(mode="after")
    def _check_sizes(self) -> "_Info":
        check_sizes((self.channels, self.height, self.width), self.sample_rate, self.duration)
        return self


def read_spec(directory: Path) -> DatasetSpec:
    """Read and check a dataset's JSON; a UserError is one line that names the file and the key."""
    path = directory / INFO_FILE
    if not path.is_file():
        what = "holds no vimh_dataset_info.json" if directory.is_dir() else "does not exist"
        raise UserError(f"{directory}: {what}; give a VIMH directory, or make one with generate_vimh.py")
    require_content(path, _REMEDY)
    if path.stat().st_size > MAX_INFO_BYTES:
        raise UserError(f"{path}: {path.stat().st_size} bytes is too large for a description; {_REMEDY}")
    return parse_spec(path.read_bytes(), path)


def parse_spec(content: bytes, path: Location) -> DatasetSpec:
    """Check the contents of a dataset's JSON, which is at `path`; raise UserError as `read_spec`."""
    try:
        info = json.loads(content)
        json.dumps(info, ensure_ascii=False).encode()  # ValueError for half of a surrogate pair: it is no text
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); {_REMEDY}") from error
    try:
        return _to_spec(_Info.model_validate(info), path.parent.name)
    except ValidationError as error:
        raise UserError(f"{path}: {describe(error)}; {_REMEDY}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}; {_REMEDY}") from error


def _to_spec(info: _Info, name: str) -> DatasetSpec:
    return DatasetSpec(
        name=info.dataset_name or as_name(name),
        inputs=Inputs((info.channels, info.height, info.width)),
        targets=ParameterSpace([*_varying(info), *_fixed(info)]),
        origin=Origin(
            sample_rate=info.sample_rate,
            duration=info.duration,
            synth_type=info.synth_type,
            spectral=_spectral(info),
            generator=info.generator,
            sensitivity=info.sensitivity,
        ),
        counts={
            split: count
            for split in ("train", "val", "test")
            if (count := getattr(info, f"{split}_samples")) is not None
        },
        metadata_bytes=_metadata_bytes(info.label_encoding.get("metadata_bytes")),
        sha256=info.sha256,
    )


def _metadata_bytes(given: Any) -> int | None:
    return {14: 14, 6: 6, 3: 6}.get(given) if isinstance(given, int) else None  # some old files state 3 but have 6


def _varying(info: _Info) -> list[ParameterSpec]:
    specs = []
    for name in info.parameter_names:
        if name not in info.parameter_mappings:
            raise UserError(f"parameter_mappings lacks '{name}', which parameter_names lists")
        entry = dict(info.parameter_mappings[name])
        classification = entry.pop("type", None) == "classification"
        if "min" not in entry and isinstance(entry.get("num_classes"), int):
            entry |= {"min": 0, "max": entry["num_classes"] - 1}
            classification = True
        if classification and "step" not in entry:
            entry |= {"step": 1, "kind": entry.get("kind", "categorical")}
        known = {key: value for key, value in entry.items() if key in ParameterSpec.model_fields and key != "name"}
        spec = _parameter(f"parameter_mappings.{name}", name=name, **known)
        if spec.is_fixed:
            raise UserError(f"parameter_mappings.{name}: min {spec.min:g} equals max, so it cannot vary")
        specs.append(spec)
    return specs


def _fixed(info: _Info) -> list[ParameterSpec]:
    specs = []
    for name, entry in info.fixed_parameters.items():
        entry = entry if isinstance(entry, dict) else {"value": entry}
        value = entry.get("value")
        if isinstance(value, int | float) and name not in info.parameter_names:
            known = ParameterSpec.model_fields.keys() - {"name", "min", "max", "step"}
            more = {key: entry[key] for key in known & entry.keys()}
            specs.append(_parameter(f"fixed_parameters.{name}", name=name, min=value, max=value, **more))
    return specs


def _parameter(where: str, **fields: Any) -> ParameterSpec:
    try:
        return ParameterSpec(**fields)
    except ValidationError as error:
        raise UserError(describe(error, where)) from error


def _spectral(info: _Info) -> SpectralConfig | None:
    """Return the front end's settings, translated from the predecessor's keys; None if they are incomplete."""
    config = (info.generator or {}).get("config")
    plain = config.get("spectral") if isinstance(config, dict) else _predecessors_spectral(info)
    try:
        spectral = SpectralConfig.model_validate(plain)
    except ValidationError:
        return None  # an unknown front end: the images can be used for training, but no WAV can be analysed
    if (len(spectral.channels), spectral.height, spectral.width) != (info.channels, info.height, info.width):
        return None  # its images differ from these
    return spectral


def _predecessors_spectral(info: _Info) -> dict[str, Any]:
    given, mel = info.spectrogram_config, info.mel_config or {}
    scaling = info.image_scaling or {"mode": "per_sample"}  # the predecessor scaled each image separately
    return {
        "type": given.get("type", "stft"),
        "height": info.height,
        "width": info.width,
        "n_fft": given.get("n_fft"),
        "n_window": given.get("n_window", given.get("n_fft")),
        "window_type": given.get("window_type", "hann"),
        "hop_length": given.get("hop_length", "auto"),
        "pre_emphasis": info.pre_emphasis_coefficient or 0.0,
        "image_scaling": scaling.get("mode", "global"),
        "channels": info.channel_labels if info.channels > 1 else ["magnitude"],
        **{key: scaling[key] for key in ("floor_db", "ceil_db") if key in scaling},
        **{key: mel[key] for key in ("freq_min", "freq_max_ratio") if key in mel},
    }


def to_info(spec: DatasetSpec) -> dict[str, Any]:
    """Return the JSON's contents for a dataset of this program: the predecessor's keys, then its own."""
    channels, height, width = spec.image_shape
    origin, total = spec.origin, sum(spec.counts.values())
    spectral = origin.spectral.model_dump(mode="json") if origin.spectral else {}
    return {
        "format": "VIMH",
        "version": "2.1",
        "dataset_name": spec.name,
        "output_format": "binary",
        "height": height,
        "width": width,
        "channels": channels,
        "channel_labels": list(spectral.get("channels", [])),
        "varying_parameters": len(spec.space),
        "parameter_names": list(spec.space.names),
        **{f"{split}_samples": count for split, count in spec.counts.items()},
        "total_samples": total,
        "n_samples": total,
        "sample_rate": origin.sample_rate,
        "duration": origin.duration,
        "synth_type": origin.synth_type,
        "image_size": f"{height}x{width}x{channels}",
        "parameter_mappings": {
            parameter.name: {**parameter.model_dump(exclude={"name"}), "num_classes": parameter.num_classes}
            for parameter in spec.space
        },
        "fixed_parameters": {
            fixed.name: {"value": fixed.min, **fixed.model_dump(exclude={"name", "min", "max", "step"})}
            for fixed in spec.space.specs
            if fixed.is_fixed
        },
        "pre_emphasis_coefficient": spectral.get("pre_emphasis", 0.0),
        "spectrogram_config": {
            "sample_rate": origin.sample_rate,
            "n_bins": height,
            "hop_length": hop_samples(spec),  # in samples, whereas the config may say auto
            **{key: spectral.get(key) for key in ("type", "n_fft", "n_window", "window_type")},
        },
        "mel_config": {key: spectral.get(key) for key in ("freq_min", "freq_max_ratio")},
        "label_encoding": {
            "format": "[N] [id, value] * N",
            "metadata_format": "[height] [width] [channels] [spec_min] [spec_max]",
            "metadata_bytes": spec.metadata_bytes,
            "N_range": [0, 255],
            "parameter_id_range": [0, 255],
            "value_range": [0, 255],
        },
        "image_scaling": {
            "mode": spectral.get("image_scaling"),
            **{key: spectral.get(key) for key in ("floor_db", "ceil_db")},
        },
        "generator": origin.generator,
        "sensitivity": [row.model_dump() for row in origin.sensitivity],
        "sha256": spec.sha256,
    }
