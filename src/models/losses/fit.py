"""Find the losses that suit a head's outputs, and check that a loss can be computed on them."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor

from src.models.losses import known_modules
from src.models.losses.base import Loss
from src.models.losses.locate import FAULTS, error_text


def losses_taking(kinds: Iterable[str]) -> list[str]:
    """Return the config names of all losses that take one of some kinds, first this project's, then torch.nn's."""
    kinds = set(kinds)
    own = sorted(name for name, loss_class in Loss.registry.items() if kinds & set(loss_class.takes))
    return [*own, *(f"torch.nn.{name}" for name, takes in known_modules.TORCH.items() if kinds & set(takes))]


def require_usable(loss: Loss, prediction: Tensor, target: Tensor) -> None:
    """Raise ValueError unless a copy of a loss can be computed and differentiated; keeps the random state."""
    trial = copy.deepcopy(loss)
    try:
        with torch.random.fork_rng(devices=[]):
            result = trial(prediction, target)
            getattr(result, "total", result).backward()  # of a weighted sum
    except FAULTS as error:
        given = f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} {target.dtype}"
        raise ValueError(f"{loss.label} cannot be computed: {error_text(error)}; its arguments are {given}") from error
