"""A model from its plain config and a dataset's spec: before training, and out of a checkpoint."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from src.data.spec import DatasetSpec
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

_TRUSTED = ("src.models.", "torch.optim.", "torch.nn.")  # where what a checkpoint's config may name is defined


def build_model(config: Mapping[str, Any], spec: DatasetSpec) -> VIMHLitModule:
    """Instantiate a plain model config on a dataset; UserError carries the cause, by key."""
    try:
        return instantiate(dict(config), _partial_=True)(spec=spec, config=config)
    except (InstantiationException, TypeError) as error:  # TypeError: an argument that a network does not take
        raise UserError(f"model: {' '.join(str(error).split())}") from error


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint as tensors and plain containers, on the CPU; UserError is one line.

    Its config may name our own models only, so that a file from elsewhere runs nothing else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"ckpt_path: {path} does not exist; give a .ckpt file, see logs/train/runs/*/checkpoints")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"model_config", "dataset_spec", "data_settings", "state_dict"} - set(checkpoint)
    except (pickle.UnpicklingError, OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"ckpt_path: {path} is no readable checkpoint ({_first_line(error)}); train again") from error
    if missing:
        raise UserError(f"ckpt_path: {path} lacks {', '.join(sorted(missing))}; it was not made by src/train.py")
    for key, value in _strings(checkpoint["model_config"]):
        if "${" in value or (key == "_target_" and not _is_trusted(value)):
            raise UserError(f"ckpt_path: {path} asks for {value}, which a checkpoint may not; is it yours?")
    return checkpoint


def restore_model(checkpoint: Mapping[str, Any]) -> VIMHLitModule:
    """Rebuild the model of a checkpoint that was read, in eval mode."""
    model = build_model(checkpoint["model_config"], DatasetSpec.from_dict(checkpoint["dataset_spec"]))
    load_weights(model, checkpoint)
    return model.eval()


def load_weights(model: VIMHLitModule, checkpoint: Mapping[str, Any]) -> None:
    """Put a checkpoint's weights into a model; UserError when it is another one."""
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"ckpt_path: its weights are another model's ({cause}); give the same model=...") from error


def load_checkpoint(path: str | Path) -> VIMHLitModule:
    """Rebuild a model from nothing but its file, in eval mode, on the CPU."""
    return restore_model(read_checkpoint(path))


def _strings(config: Any, key: str = "") -> list[tuple[str, str]]:
    """Return every string of a config with the key it stands under, at any depth."""
    if isinstance(config, Mapping):
        return [pair for name, value in config.items() for pair in _strings(value, str(name))]
    if isinstance(config, list | tuple):
        return [pair for value in config for pair in _strings(value, key)]
    return [(key, config)] if isinstance(config, str) else []


def _is_trusted(target: str) -> bool:
    """Tell whether a dotted path names what a trusted package defines, not what its modules import."""
    if not target.startswith(_TRUSTED):
        return False
    try:
        return f"{get_object(target).__module__}.".startswith(_TRUSTED)
    except (ImportError, ValueError, AttributeError):
        return False


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
