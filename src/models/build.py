"""Build a model from its plain config and a dataset's spec, before training and from a checkpoint."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf.errors import OmegaConfBaseException

from src.data.spec import DatasetSpec
from src.models.checkpoint_file import load_plain
from src.models.checkpoint_schema import require_contents
from src.models.components.timm_backbone import FILE_ARGUMENTS, FILE_OPTIONS
from src.models.feature_distribution import distribution_of
from src.models.rehearsal import bounded, load_matching, rehearse_network
from src.models.trust import is_listed, require_allowed
from src.models.vimh_lit_module import AUXILIARY_INPUTS, VIMHLitModule
from src.utils.errors import UserError, one_line, printable
from src.utils.trust import trusted_paths

_FAULTS = (  # the exceptions of a network that is built with invalid arguments
    *(ArithmeticError, AssertionError, AttributeError, ImportError, InstantiationException, LookupError, MemoryError),
    *(OmegaConfBaseException, RuntimeError, TypeError, ValueError),
)


def build_model(config: Mapping[str, Any], spec: DatasetSpec) -> VIMHLitModule:
    """Instantiate a plain model config for a dataset; a UserError names the key and the cause."""
    if "network" not in config:
        raise UserError("model.network: not given; choose a model config, as in model=cnn_micro, or give your own")
    apart = ("heads", "adam_lr")  # a head builds its own loss; adam_lr is the old name of the learning rate
    parts = {key: value for key, value in config.items() if key not in apart}
    target = config["network"].get("_target_") if isinstance(config["network"], Mapping) else None
    ours = str(target).startswith("src.models.components.")  # an error in a user's own network keeps its traceback
    try:
        return instantiate(parts, _partial_=True)(spec=spec, heads=config.get("heads"), config=config)
    except (InstantiationException, TypeError) as error:  # TypeError: an unknown argument of the network
        raise UserError(f"model: {' '.join(str(error).split())}") from error
    except _FAULTS as error:
        if isinstance(error, UserError) or not ours:
            raise
        raise UserError(f"model.network: {one_line(error)}") from error


def read_checkpoint(path: str | Path, trust: Iterable[str] | None = ()) -> dict[str, Any]:
    """Read a checkpoint as tensors and plain containers, on the CPU, and check it; a UserError is one line.

    Its config may name the classes that `src.models.trust` lists and those that `trust` covers: dotted paths of classes
    or modules. An untrusted file runs no other code. `trust` is None if nothing is built from the config.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"ckpt_path: {path} does not exist; give a .ckpt file, see logs/train/runs/*/checkpoints")
    checkpoint = load_plain(path)
    try:
        require_contents(checkpoint)
        if trust is not None:
            require_allowed(checkpoint["model_config"], trusted_paths(trust))
    except UserError as error:
        verb = "" if str(error).startswith(("names ", "lacks ")) else "holds "
        raise UserError(f"ckpt_path: {path} {verb}{error}") from error
    return checkpoint


def restore_model(checkpoint: Mapping[str, Any]) -> VIMHLitModule:
    """Rebuild the model of a loaded checkpoint, in eval mode; raise UserError if its parts do not fit together."""
    config, weights = _without_files(checkpoint["model_config"]), checkpoint["state_dict"]
    spec = DatasetSpec.from_dict(checkpoint["dataset_spec"])
    middle = 0.5 * sum(spec.inputs.value_range)
    image, scale = torch.full((1, *spec.image_shape), middle), torch.full((1, AUXILIARY_INPUTS), 0.5)
    try:
        if is_listed(config):
            _rehearse_network(config["network"], spec, weights)
        with bounded(weights) if is_listed(config) else nullcontext():
            model = build_model(config, spec)
            load_weights(model, checkpoint)
            model.feature_distribution = distribution_of(checkpoint, model.description_size)
            model.eval()
            with torch.inference_mode():
                values = model.values(image, scale)
    except UserError as error:
        raise error if str(error).startswith("ckpt_path: ") else UserError(f"ckpt_path: {error}") from error
    except _FAULTS as error:
        cause = printable(one_line(error), 200)
        raise UserError(f"ckpt_path: its model cannot be built or run ({cause}); train again") from error
    if not values.isfinite().all():
        raise UserError("ckpt_path: its model predicts values that are not finite; train again")
    return model


def require_loadable(model: VIMHLitModule) -> None:
    """Raise UserError for a model that can be trained, but whose checkpoint would be refused as too large."""
    if model.config and is_listed(model.config):
        try:
            _rehearse_network(_without_files(model.config)["network"], model.spec, model.state_dict())
        except UserError as error:
            raise UserError(f"model.network: its checkpoints could not be loaded: {error}") from error


def _rehearse_network(config: Mapping[str, Any], spec: DatasetSpec, weights: Mapping[str, torch.Tensor]) -> None:
    channels, *size = spec.image_shape
    own = {name.removeprefix("network."): value for name, value in weights.items() if name.startswith("network.")}
    make = instantiate(config, _partial_=True)
    rehearse_network(lambda: make(in_channels=channels, image_size=tuple(size)), own, spec.image_shape)


def _without_files(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model config without files to read or download: the weights are in the checkpoint."""
    network = config.get("network")
    if not isinstance(network, Mapping):
        raise UserError("ckpt_path: its model_config.network is not a network's config; train again")
    kept = {key: None if key in FILE_ARGUMENTS else value for key, value in network.items()}
    options = kept.get("options")
    if isinstance(options, Mapping):
        kept["options"] = {key: value for key, value in options.items() if key not in FILE_OPTIONS}
    return {**config, "network": kept}


def load_weights(model: VIMHLitModule, checkpoint: Mapping[str, Any]) -> None:
    """Load a checkpoint's weights into a model; raise UserError if they belong to another model."""
    weights, own = checkpoint["state_dict"], model.state_dict()
    for name, value in weights.items():
        if name in own and value.is_floating_point() and own[name].isfinite().all() and not value.isfinite().all():
            raise UserError(f"ckpt_path: its weights {name} are not finite; use an earlier checkpoint, or train again")
        if name in own and value.is_floating_point() != own[name].is_floating_point():
            raise UserError(f"ckpt_path: its weights {name} are {value.dtype}, not {own[name].dtype}; train again")
    load_matching(model, weights)


def load_own_checkpoint(path: str | Path, config: Mapping[str, Any]) -> VIMHLitModule:
    """Rebuild a model from the user's own config, which may name any code, and a checkpoint's weights."""
    return restore_model(read_checkpoint(path, trust=None) | {"model_config": config})


def load_checkpoint(path: str | Path, trust: Iterable[str] = ()) -> VIMHLitModule:
    """Rebuild a model from its file alone, in eval mode, on the CPU; `trust` as in `read_checkpoint`."""
    return restore_model(read_checkpoint(path, trust))
