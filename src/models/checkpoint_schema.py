"""Check the contents of a checkpoint before anything is built from it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from src.data.spec import DatasetSpec
from src.data.spec_schema import DatasetName
from src.models.checkpoint_file import FROM_TRUSTED
from src.utils.errors import UserError, printable, shown
from src.utils.invalid import describe
from src.utils.trust import is_dotted

KEYS = ("data_settings", "dataset_spec", "model_config", "state_dict")
_MOST_VALUES = 50_000  # of the description: 255 parameters with their texts have 3,000
_MOST_OF_SETTINGS = 1000  # groups of a hundred classes have 300
_MOST_OF_MODEL = 5000  # of a model's config, which Hydra takes time to read: ours have 60
_MOST_OF_HEADS = 10_000  # in the configs of all heads that have the default one
_DEEPEST = 32
_LONGEST_KEY = 500
_LONGEST_TEXT = 10_000
_TEXT_OF_VALUE = 100  # letters that count as one value
_LARGEST_INTEGER = 2**64
_MOST_SHARED = 2  # weights that share their numbers: two layers of one network may
_DTYPES = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
}


class DigitsSettings(BaseModel):
    """The settings of scikit-learn's digits in checkpoints of older versions."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    format: Literal["digits"]
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    eval_batch_size: Annotated[int, Field(ge=1, le=2**20)]


class ImageSettings(DigitsSettings):
    """The settings of src.data.images.datamodule.ImageDataModule."""

    format: Literal["images"]  # type: ignore[assignment]
    name: Annotated[DatasetName, Field(min_length=1)]
    reader: dict[str, Any]
    labels: dict[str, Any]
    val_fraction: Annotated[float, Field(gt=0, lt=0.5)]


class NotesSettings(BaseModel):
    """The settings of src.data.notes.datamodule.NotesDataModule; their recipe is checked when it is used."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    format: Literal["notes"]
    recipe: dict[str, Any]
    notes: int
    latest_onset: float
    threshold_db: float
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    eval_batch_size: Annotated[int, Field(ge=1, le=2**20)]


class DataSettings(BaseModel):
    """The settings that, with the directory, determine the samples and labels of a test: VIMHDataModule.settings."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    labels: Literal["exact", "quantised"]
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    eval_batch_size: Annotated[int, Field(ge=1, le=2**20)]


_SCHEMAS: dict[str, type[BaseModel]] = {
    "digits": DigitsSettings,
    "images": ImageSettings,
    "notes": NotesSettings,
}


def require_contents(checkpoint: Mapping[str, Any]) -> None:
    """Raise UserError, with the key, unless config, description and settings are plain and the weights are dense."""
    missing = set(KEYS) - set(checkpoint)
    if missing:
        raise UserError(f"lacks {', '.join(sorted(missing))}; it was not made by src/train.py")
    for key in KEYS:
        if not isinstance(checkpoint[key], dict):
            raise UserError(f"{key}: a {type(checkpoint[key]).__name__} given; a dict is needed")
    for key, most in (("dataset_spec", _MOST_VALUES), ("model_config", _MOST_OF_MODEL)):
        require_plain(checkpoint[key], key, most)
    require_tensors(checkpoint["state_dict"], "state_dict")
    distribution = checkpoint.get("feature_distribution", {})  # checkpoints of older versions lack it
    if not isinstance(distribution, dict):
        raise UserError(f"feature_distribution: a {type(distribution).__name__} given; a dict is needed")
    require_tensors(distribution, "feature_distribution")
    require_settings(checkpoint["data_settings"])
    targets = DatasetSpec.from_dict(checkpoint["dataset_spec"]).targets
    heads = checkpoint["model_config"].get("heads")
    if isinstance(heads, dict) and targets is not None:
        require_plain(heads.get("default"), "model_config.heads.default", _MOST_OF_HEADS // len(targets))


def require_settings(settings: Mapping[str, Any]) -> None:
    """Raise UserError for data settings that src.data.reopen cannot use; those of a user's class are only plain."""
    require_plain(settings, "data_settings", _MOST_OF_SETTINGS)
    kind = settings.get("format", "")
    if isinstance(kind, str) and "." in kind and is_dotted(kind):
        return
    schema = _SCHEMAS.get(kind, DataSettings) if isinstance(kind, str) else DataSettings
    try:
        schema.model_validate(settings)
    except ValidationError as error:
        raise UserError(describe(error, "data_settings")) from error


def require_plain(value: Any, key: str, most: int = _MOST_VALUES) -> None:
    """Raise UserError unless a value consists of dicts, lists, texts and numbers, and is small when written out.

    A list that contains itself is infinite when written out, and lists that share their items may be huge.
    """
    pending: list[tuple[Any, tuple[Any, ...]]] = [(value, (key,))]  # each with the keys that lead to it
    count = 1
    while pending:
        item, where = pending.pop()
        is_container = isinstance(item, dict) or type(item) in (list, tuple)
        if is_container or isinstance(item, str):
            count += len(item) if is_container else len(item) // _TEXT_OF_VALUE
        if count > most or (is_container and len(where) > _DEEPEST):
            raise UserError(f"{key}: more than {most} values, or nested deeper than {_DEEPEST}; {FROM_TRUSTED}")
        _require_plain_item(item, where)
        if is_container:
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            pending += [(inner, (*where, name)) for name, inner in pairs]


def _require_plain_item(item: Any, where: tuple[Any, ...]) -> None:
    if isinstance(item, dict):
        for name in item:
            _require_key(name, where)
    elif isinstance(item, str):
        if len(item) > _LONGEST_TEXT or not item.replace("\n", "").replace("\t", "").isprintable():
            raise UserError(
                f"{_path(where)}: {shown(item)} given; printable text of at most {_LONGEST_TEXT} characters is needed"
            )
    elif type(item) is int:
        if abs(item) > _LARGEST_INTEGER:
            raise UserError(f"{_path(where)}: {shown(item)} given; a smaller number is needed")
    elif item is not None and type(item) not in (bool, float, list, tuple):
        raise UserError(f"{_path(where)}: a {type(item).__name__} given; a text, a number, a list or a dict is needed")


def _require_key(name: Any, where: tuple[Any, ...]) -> None:
    if not isinstance(name, str) or not name.isprintable() or len(name) > _LONGEST_KEY:
        raise UserError(
            f"{_path(where)}: a key {shown(name)}; keys are printable texts of at most {_LONGEST_KEY} characters"
        )


def _path(where: tuple[Any, ...]) -> str:
    return printable(".".join(map(str, where)), 200)


def require_tensors(weights: Mapping[Any, Any], key: str) -> None:
    """Raise UserError unless all values are dense tensors whose elements the file stores individually."""
    stored, needed = {}, 0
    for name, value in weights.items():
        _require_key(name, (key,))
        if not isinstance(value, Tensor):
            raise UserError(f"{key}.{name}: a {type(value).__name__} given; a tensor is needed")
        if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in _DTYPES:
            raise UserError(f"{key}.{name}: a tensor of {value.layout}, {value.dtype} on {value.device} given")
        storage = value.untyped_storage()
        stored[storage.data_ptr()] = storage.nbytes()
        needed += value.nbytes
        if value.nbytes > storage.nbytes():
            raise UserError(f"{key}.{name}: shape {tuple(value.shape)} given, but the file has fewer numbers")
    if needed > _MOST_SHARED * sum(stored.values()):
        raise UserError(
            f"{key}: tensors of {needed} bytes given, but the file has {sum(stored.values())}; {FROM_TRUSTED}"
        )
