"""Check the contents of a checkpoint before anything is built from it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from src.data.recipe import describe
from src.data.spec import DatasetSpec
from src.utils.errors import UserError, shown

KEYS = ("data_settings", "dataset_spec", "model_config", "state_dict")
_MOST_VALUES = 100_000  # of the config and the description: 255 parameters with their texts have 3,000
_DEEPEST = 32
_LONGEST_KEY = 500
_LONGEST_TEXT = 10_000
_LARGEST_INTEGER = 2**64
_DTYPES = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
}


class DataSettings(BaseModel):
    """The settings that, with the directory, determine the samples and labels of a test: VIMHDataModule.settings."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    labels: Literal["exact", "quantised"]
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    eval_batch_size: Annotated[int, Field(ge=1, le=2**20)]


def require_contents(checkpoint: Mapping[str, Any]) -> None:
    """Raise UserError, with the key, unless config, description and settings are plain and the weights are dense."""
    missing = set(KEYS) - set(checkpoint)
    if missing:
        raise UserError(f"lacks {', '.join(sorted(missing))}; it was not made by src/train.py")
    for key in KEYS:
        if not isinstance(checkpoint[key], dict):
            raise UserError(f"{key}: a {type(checkpoint[key]).__name__} given; a dict is needed")
    for key in ("data_settings", "dataset_spec", "model_config"):
        require_plain(checkpoint[key], key)
    require_tensors(checkpoint["state_dict"], "state_dict")
    try:
        DataSettings.model_validate(checkpoint["data_settings"])
    except ValidationError as error:
        raise UserError(describe(error, "data_settings")) from error
    DatasetSpec.from_dict(checkpoint["dataset_spec"])


def require_plain(value: Any, key: str) -> None:
    """Raise UserError unless a value consists of dicts, lists, texts and numbers, and is small when written out.

    A list that contains itself is infinite when written out, and lists that share their items may be huge.
    """
    pending = [(value, key, 0)]
    count = 0
    while pending:
        item, where, depth = pending.pop()
        count += 1
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise UserError(f"{key}: more than {_MOST_VALUES} values, or nested deeper than {_DEEPEST}")
        if isinstance(item, dict):
            for name, inner in item.items():
                _require_key(name, where)
                pending.append((inner, f"{where}.{name}", depth + 1))
        elif type(item) in (list, tuple):
            pending += [(inner, f"{where}.{at}", depth + 1) for at, inner in enumerate(item[: _MOST_VALUES + 1])]
        elif isinstance(item, str):
            if len(item) > _LONGEST_TEXT or not item.replace("\n", "").replace("\t", "").isprintable():
                raise UserError(
                    f"{where}: {shown(item)} given; printable text of at most {_LONGEST_TEXT} characters is needed"
                )
        elif type(item) is int:
            if abs(item) > _LARGEST_INTEGER:
                raise UserError(f"{where}: {shown(item)} given; a smaller number is needed")
        elif item is not None and type(item) not in (bool, float):
            raise UserError(f"{where}: a {type(item).__name__} given; a text, a number, a list or a dict is needed")


def _require_key(name: Any, where: str) -> None:
    if not isinstance(name, str) or not name.isprintable() or len(name) > _LONGEST_KEY:
        raise UserError(f"{where}: a key {shown(name)}; keys are printable texts of at most {_LONGEST_KEY} characters")


def require_tensors(weights: Mapping[Any, Any], key: str) -> None:
    """Raise UserError unless all values are dense tensors whose elements the file stores individually."""
    for name, value in weights.items():
        _require_key(name, key)
        if not isinstance(value, Tensor):
            raise UserError(f"{key}.{name}: a {type(value).__name__} given; a tensor is needed")
        if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in _DTYPES:
            raise UserError(f"{key}.{name}: a tensor of {value.layout}, {value.dtype} on {value.device} given")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise UserError(f"{key}.{name}: shape {tuple(value.shape)} given, but the file has fewer numbers")
