"""A model from its plain config and a dataset's spec: before training, and out of a checkpoint."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from src.data.spec import DatasetSpec
from src.models.losses import is_loss_name
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError, first_line

_TRUSTED = ("src.models.", "torch.optim.", "torch.nn.")  # where what a checkpoint's config may name is defined
_NAMING = ("_target_", "class_path", "loss")


def build_model(config: Mapping[str, Any], spec: DatasetSpec) -> VIMHLitModule:
    """Instantiate a plain model config on a dataset; UserError carries the cause, by key."""
    if "network" not in config:
        raise UserError("model.network: not given; choose a model config, as in model=cnn_micro, or give your own")
    apart = ("heads", "adam_lr")  # a head builds its loss itself; older checkpoints hold the rate under that name
    parts = {key: value for key, value in config.items() if key not in apart}
    try:
        return instantiate(parts, _partial_=True)(spec=spec, heads=config.get("heads"), config=config)
    except (InstantiationException, TypeError) as error:  # TypeError: an argument that a network does not take
        raise UserError(f"model: {' '.join(str(error).split())}") from error


def read_checkpoint(path: str | Path, trust: Iterable[str] = ()) -> dict[str, Any]:
    """Read a checkpoint as tensors and plain containers, on the CPU; UserError is one line.

    Its config may name our own models, and what `trust` says: dotted paths of modules or classes. A file from
    elsewhere runs nothing else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"ckpt_path: {path} does not exist; give a .ckpt file, see logs/train/runs/*/checkpoints")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"model_config", "dataset_spec", "data_settings", "state_dict"} - set(checkpoint)
    except (pickle.UnpicklingError, OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"ckpt_path: {path} is no readable checkpoint ({first_line(error)[:200]}); train again"
        ) from error
    if missing:
        raise UserError(f"ckpt_path: {path} lacks {', '.join(sorted(missing))}; it was not made by src/train.py")
    for key, value in _strings(checkpoint["model_config"]):
        if "${" in value or (key in _NAMING and not _is_trusted(value, tuple(trust))):
            raise UserError(
                f"ckpt_path: {path} asks for {value}, which a checkpoint may not; if that is yours, trust=[{value}]"
            )
    return checkpoint


def restore_model(checkpoint: Mapping[str, Any]) -> VIMHLitModule:
    """Rebuild the model of a checkpoint that was read, in eval mode."""
    config = dict(checkpoint["model_config"])
    if config["network"].get("weights"):  # a file of pretrained ones is neither needed nor likely to be here
        config["network"] = config["network"] | {"weights": None}
    model = build_model(config, DatasetSpec.from_dict(checkpoint["dataset_spec"]))
    load_weights(model, checkpoint)
    return model.eval()


def load_weights(model: VIMHLitModule, checkpoint: Mapping[str, Any]) -> None:
    """Put a checkpoint's weights into a model; UserError when it is another one."""
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"ckpt_path: its weights are another model's ({cause}); give the same model=...") from error


def load_checkpoint(path: str | Path, trust: Iterable[str] = ()) -> VIMHLitModule:
    """Rebuild a model from nothing but its file, in eval mode, on the CPU; `trust` as in `read_checkpoint`."""
    return restore_model(read_checkpoint(path, trust))


def named_classes(config: Mapping[str, Any]) -> set[str]:
    """Return the dotted paths that a model's config names: what a run of one's own trusts."""
    return {value for key, value in _strings(config) if key in _NAMING}


def _strings(config: Any, key: str = "") -> list[tuple[str, str]]:
    """Return every string of a config with the key it stands under, at any depth."""
    if isinstance(config, Mapping):
        return [pair for name, value in config.items() for pair in _strings(value, str(name))]
    if isinstance(config, list | tuple):
        return [pair for value in config for pair in _strings(value, key)]
    return [(key, config)] if isinstance(config, str) else []


def _is_trusted(target: str, trust: tuple[str, ...]) -> bool:
    """Tell whether a dotted path names what a trusted package defines, not what its modules import."""
    if is_loss_name(target) or any(f"{target}.".startswith(f"{one}.") for one in trust):
        return True
    if not target.startswith(_TRUSTED):
        return False
    try:
        return f"{get_object(target).__module__}.".startswith(_TRUSTED)
    except (ImportError, ValueError, AttributeError):
        return False
