"""A model from its plain config and a dataset's spec: before training, and out of a checkpoint."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from src.data.spec import DatasetSpec
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

_TRUSTED = ("src.models.", "torch.optim.", "torch.nn.")  # what a checkpoint's config may name


def build_model(config: Mapping[str, Any], spec: DatasetSpec) -> VIMHLitModule:
    """Instantiate a plain model config on a dataset; UserError carries the cause, by key."""
    try:
        return instantiate(dict(config), _partial_=True)(spec=spec, config=config)
    except InstantiationException as error:
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
    except (pickle.UnpicklingError, EOFError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"ckpt_path: {path} is no readable checkpoint ({_first_line(error)}); train again") from error
    if missing:
        raise UserError(f"ckpt_path: {path} lacks {', '.join(sorted(missing))}; it was not made by src/train.py")
    for target in _targets(checkpoint["model_config"]):
        if not target.startswith(_TRUSTED):
            raise UserError(f"ckpt_path: {path} asks for {target}, which a checkpoint may not; is it yours?")
    return checkpoint


def restore_model(checkpoint: Mapping[str, Any]) -> VIMHLitModule:
    """Rebuild the model of a checkpoint that was read, in eval mode."""
    model = build_model(checkpoint["model_config"], DatasetSpec.from_dict(checkpoint["dataset_spec"]))
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise UserError(f"ckpt_path: its weights do not fit the model it names ({_first_line(error)})") from error
    return model.eval()


def load_checkpoint(path: str | Path) -> VIMHLitModule:
    """Rebuild a model from nothing but its file, in eval mode, on the CPU."""
    return restore_model(read_checkpoint(path))


def _targets(config: Any) -> list[str]:
    if isinstance(config, Mapping):
        own = [str(config["_target_"])] if "_target_" in config else []
        return own + [target for value in config.values() for target in _targets(value)]
    if isinstance(config, list | tuple):
        return [target for value in config for target in _targets(value)]
    return []


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
