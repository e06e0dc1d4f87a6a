"""What a checkpoint has to hold, checked before anything is built from it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from src.data.recipe import describe
from src.data.spec import DatasetSpec
from src.utils.errors import UserError, shown

KEYS = ("data_settings", "dataset_spec", "model_config", "state_dict")
_MOST_VALUES = 100_000  # of the config and the description: 255 parameters and their texts are 3,000
_DEEPEST = 32
_LONGEST_KEY = 500
_LONGEST_TEXT = 10_000
_LARGEST_INTEGER = 2**64
_DTYPES = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
}


class DataSettings(BaseModel):
    """What decides, besides the directory, which samples and labels a test sees: VIMHDataModule.settings."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    labels: Literal["exact", "quantised"]
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    eval_batch_size: Annotated[int, Field(ge=1, le=2**20)]


def require_contents(checkpoint: Mapping[str, Any]) -> None:
    """UserError, by the key, unless a checkpoint holds a plain config and description, settings and dense weights."""
    missing = set(KEYS) - set(checkpoint)
    if missing:
        raise UserError(f"lacks {', '.join(sorted(missing))}; it was not made by src/train.py")
    for key in KEYS:
        if not isinstance(checkpoint[key], dict):
            raise UserError(f"{key}: a {type(checkpoint[key]).__name__} given, where keys and values belong")
    for key in ("data_settings", "dataset_spec", "model_config"):
        require_plain(checkpoint[key], key)
    require_tensors(checkpoint["state_dict"], "state_dict")
    try:
        DataSettings.model_validate(checkpoint["data_settings"])
    except ValidationError as error:
        raise UserError(describe(error, "data_settings")) from error
    DatasetSpec.from_dict(checkpoint["dataset_spec"])


def require_plain(value: Any, key: str) -> None:
    """Raise UserError unless a value is made of dicts, lists, texts and numbers, and small when it is written out.

    A list that holds itself, or lists that share their parts, are endless when they are written out.
    """
    pending = [(value, key, 0)]
    count = 0
    while pending:
        one, where, depth = pending.pop()
        count += 1
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise UserError(f"{key}: more than {_MOST_VALUES} values, or nested deeper than {_DEEPEST}")
        if isinstance(one, dict):
            for name, inner in one.items():
                _require_key(name, where)
                pending.append((inner, f"{where}.{name}", depth + 1))
        elif type(one) in (list, tuple):
            pending += [(inner, f"{where}.{at}", depth + 1) for at, inner in enumerate(one[: _MOST_VALUES + 1])]
        elif isinstance(one, str):
            if len(one) > _LONGEST_TEXT or not one.replace("\n", "").replace("\t", "").isprintable():
                raise UserError(f"{where}: {shown(one)} given; a printable text of at most {_LONGEST_TEXT} letters")
        elif type(one) is int:
            if abs(one) > _LARGEST_INTEGER:
                raise UserError(f"{where}: {shown(one)} given; a smaller number is needed")
        elif one is not None and type(one) not in (bool, float):
            raise UserError(f"{where}: a {type(one).__name__} given; a text, a number, a list or keys are needed")


def _require_key(name: Any, where: str) -> None:
    if not isinstance(name, str) or not name.isprintable() or len(name) > _LONGEST_KEY:
        raise UserError(f"{where}: a key {shown(name)}; keys are printable texts of at most {_LONGEST_KEY} letters")


def require_tensors(weights: Mapping[Any, Any], key: str) -> None:
    """Raise UserError unless names stand for dense tensors that lie in the file, each number once."""
    for name, value in weights.items():
        _require_key(name, key)
        if not isinstance(value, Tensor):
            raise UserError(f"{key}.{name}: a {type(value).__name__} given, where a tensor belongs")
        if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in _DTYPES:
            raise UserError(f"{key}.{name}: a tensor of {value.layout}, {value.dtype} on {value.device} given")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise UserError(f"{key}.{name}: shape {tuple(value.shape)} given, of fewer numbers in the file")
