"""Gradient centralisation: no output's weights drift together."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from src.models.optimizers.closures import Closure, around_closure


def gradient_centralization(optimizer: Optimizer, model: nn.Module) -> None:
    """Take the mean over inputs out of each matrix's and kernel's gradient, before every step.

    Source: Yong et al., Gradient Centralization, arXiv 2004.01461.
    """

    @torch.no_grad()
    def centralize() -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.ndim > 1:
                    gradient = parameter.grad
                    gradient -= gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True)

    def change(closure: Closure) -> Any:
        loss = closure()
        centralize()
        return loss

    around_closure(optimizer, change)
