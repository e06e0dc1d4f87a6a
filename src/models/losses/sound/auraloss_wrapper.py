"""Any loss of the auraloss package by its class name, with one value per example."""

from typing import Any, cast

from torch import Tensor, nn

from src.models.losses.base import Loss, Reduction, one_of
from src.models.losses.known_modules import AURALOSS
from src.models.losses.locate import build, find
from src.models.losses.module_loss import ModuleLoss

_HOMES = {name: part for part, names in AURALOSS.items() for name in names}


class AuralossLoss(ModuleLoss, name="auraloss", takes=("waveform",)):
    """A class of auraloss.freq or auraloss.time by its name, built with the other arguments.

    Waveforms (B, T), float32, or (B, C, T) if the class accepts several channels. It reduces the values of single
    examples, unlike `ModuleLoss` of the same class, since some auraloss classes sum over a batch before they divide.
    Raises ValueError if auraloss is not installed or has no such class.

    Source: Steinmetz, Reiss, auraloss: Audio-Focused Loss Functions in PyTorch, DMRN+15 2020.
    """

    def __init__(
        self, name_in_auraloss: str = "MultiResolutionSTFTLoss", reduction: Reduction = "mean", **arguments: Any
    ):
        one_of("name_in_auraloss", name_in_auraloss, tuple(sorted(_HOMES)))
        found = find(f"{_HOMES[name_in_auraloss]}.{name_in_auraloss}")
        super().__init__(build(cast(type[nn.Module], found), name_in_auraloss, arguments))
        self.reduction = one_of("reduction", reduction, ("none", "mean", "sum"))

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """Return the loss: (B,) if reduction is none, otherwise a scalar."""
        return Loss.forward(self, prediction, target)
