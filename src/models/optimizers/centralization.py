"""Gradient centralisation: no output's weights drift together."""

from typing import Any

import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.optim import Optimizer

from src.models.optimizers.closures import Closure, around_closure
from src.models.optimizers.groups import is_layer_weight
from src.utils.errors import UserError


def gradient_centralization(optimizer: Optimizer, model: nn.Module) -> None:
    """Take the mean over inputs out of each matrix's and kernel's gradient, before every step.

    Source: Yong et al., Gradient Centralization, arXiv 2004.01461.
    """
    if isinstance(getattr(getattr(model, "_trainer", None), "strategy", None), FSDPStrategy):
        raise UserError("model.wrappers: gradient centralization needs whole matrices, fsdp splits them; use ddp")

    weights = [one for name, one in model.named_parameters() if is_layer_weight(name, one)]

    @torch.no_grad()
    def centralize() -> None:
        for gradient in (one.grad for one in weights if one.grad is not None):
            gradient -= gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True)

    def change(closure: Closure) -> Any:
        loss = closure()
        centralize()
        return loss

    around_closure(optimizer, change)
