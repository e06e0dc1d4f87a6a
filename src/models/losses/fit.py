"""Which losses suit what a head gives, and whether one can be computed on it."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor

from src.models.losses import known_modules
from src.models.losses.base import Loss
from src.models.losses.locate import FAULTS, told


def losses_taking(kinds: Iterable[str]) -> list[str]:
    """Return the names in configs of all losses that take one of some kinds: of this project, then of torch.nn."""
    kinds = set(kinds)
    own = sorted(name for name, one in Loss.registry.items() if kinds & set(one.takes))
    return [*own, *(f"torch.nn.{name}" for name, takes in known_modules.TORCH.items() if kinds & set(takes))]


def require_usable(loss: Loss, prediction: Tensor, target: Tensor) -> None:
    """Raise ValueError unless a copy of a loss can be computed and differentiated; no random number is drawn."""
    trial = copy.deepcopy(loss)
    try:
        with torch.random.fork_rng(devices=[]):
            result = trial(prediction, target)
            getattr(result, "total", result).backward()  # of a weighted sum
    except FAULTS as error:
        given = f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} {target.dtype}"
        raise ValueError(f"{loss.label} cannot be computed: {told(error)}; it is given {given}") from error
