"""Gradient centralisation: the mean of each output's weights does not change."""

from typing import Any

import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.optim import Optimizer

from src.models.optimizers.closures import Closure, around_closure
from src.models.optimizers.groups import is_layer_weight
from src.utils.errors import UserError


def gradient_centralization(optimizer: Optimizer, model: nn.Module) -> None:
    """Subtract the mean over inputs from the gradient of each matrix and kernel, before every step.

    Source: Yong et al., Gradient Centralization, arXiv 2004.01461.
    """
    if isinstance(getattr(getattr(model, "_trainer", None), "strategy", None), FSDPStrategy):
        raise UserError("model.wrappers: gradient centralization needs whole matrices, but fsdp splits them; use ddp")

    weights = [parameter for name, parameter in model.named_parameters() if is_layer_weight(name, parameter)]

    @torch.no_grad()
    def centralize() -> None:
        for gradient in (weight.grad for weight in weights if weight.grad is not None):
            gradient -= gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True)

    def change(closure: Closure) -> Any:
        loss = closure()
        centralize()
        return loss

    around_closure(optimizer, change)
