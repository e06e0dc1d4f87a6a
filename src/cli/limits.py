"""Values of a trainer that Lightning accepts but later fails on, or with which nothing is trained."""

import logging
from collections.abc import Mapping
from typing import Any

from src.utils.errors import UserError

log = logging.getLogger(__name__)

_DIVISORS = ("accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval")
_TRAINING = ("max_epochs", "max_steps", "limit_train_batches", "max_time")


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
