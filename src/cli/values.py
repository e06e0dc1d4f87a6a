"""Values of a config that Hydra accepts, but with which a run would fail late, do nothing or do something else."""

import logging
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from src.utils.errors import UserError, shown
from src.utils.plain import to_plain

log = logging.getLogger(__name__)

_NEEDED = (
    *("trainer", "paths", "extras", "metrics", "preflight"),
    *("data.recipe.synth", "model.heads", "model.heads.default"),
)
_KEYED_BY_ROLE = ("callbacks", "logger")  # each value of these is a mapping as well
_SWITCHES = (
    "test",
    "adapt",
    "deterministic",
    "verify",
    "report",
    "render",
    "audio",
    "preflight.allow_blind",
    "extras.print_config",
)
_DIVISORS = ("accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval")
_TRAINING = ("max_epochs", "max_steps", "limit_train_batches", "max_time")


def require_mappings(config: DictConfig) -> None:
    """Raise UserError for a value in the place of a mapping; null is left to those who read it."""
    for key in (*_NEEDED, *_KEYED_BY_ROLE):
        _require(OmegaConf.select(config, key), key)
    for group in _KEYED_BY_ROLE:
        for role, value in (config.get(group) or {}).items():
            _require(value, f"{group}.{role}")


def _require(value: object, key: str) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{key}: {shown(value)} given; give a mapping of keys to values (--cfg job shows the config)")


def require_switches(config: DictConfig) -> None:
    """Raise UserError for a switch that is not true or false: the text `no`, for example, would switch it on."""
    for key in _SWITCHES:
        value = OmegaConf.select(config, key, default=False)
        if not isinstance(value, bool):
            raise UserError(f"{key}: {'null' if value is None else shown(value)} given; give true or false")


def require_limits(trainer: Mapping[str, Any]) -> None:
    """Raise UserError for a value with which training would fail or diverge; warn if nothing would be trained."""
    for key in _DIVISORS:
        value = trainer.get(key)
        if type(value) is int and value < 1:
            raise UserError(f"trainer.{key}: {value} given; give at least 1")
    clip = trainer.get("gradient_clip_val")
    if isinstance(clip, int | float) and clip < 0:  # Lightning would scale gradients by it and ascend the loss
        raise UserError(f"trainer.gradient_clip_val: {clip} given; give a norm above 0, or null for no clipping")
    for key in _TRAINING:
        value = trainer.get(key)
        if _is_zero(value):
            log.warning("trainer.%s: %s given, so nothing is trained, and the test uses untrained weights", key, value)


def is_tested(trainer: Mapping[str, Any]) -> bool:
    """Return whether the test has any batches."""
    return not _is_zero(trainer.get("limit_test_batches"))


def _is_zero(value: Any) -> bool:
    if isinstance(value, str):  # a duration, DD:HH:MM:SS
        return bool(value) and set(value) <= set("0:")
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def rename_rate(config: DictConfig) -> None:
    """Remove `model.adam_lr`, the older name of `model.optimizer.lr`, from a config in which the latter refers to it.

    Raises UserError if it has no effect: one of the user's files still sets it.
    """
    older = config.model.get("adam_lr")
    if older is None:
        return
    optimizer = to_plain(config.model, resolve=False).get("optimizer") or {}
    refers = optimizer.get("lr") == "${model.adam_lr}"
    if not refers and not config.get("resume"):
        raise UserError(f"model.adam_lr: {older} given; the learning rate is model.optimizer.lr, so rename it to that")
    with open_dict(config):
        if refers:
            config.model.optimizer.lr = older
        del config.model.adam_lr
