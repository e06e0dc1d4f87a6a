"""Lookahead: slow weights that follow the fast ones."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.utils.errors import UserError


def lookahead(optimizer: Optimizer, model: nn.Module, every: int = 6, rate: float = 0.5) -> None:
    """After `every` steps move the slow weights by `rate` towards the fast ones, and go on from there.

    The slow weights are part of the optimizer's state, and so of checkpoints.

    Source: Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, arXiv 1907.08610.
    """
    if every < 1 or not 0 < rate <= 1:
        raise UserError(f"model.wrappers.lookahead: every {every}, rate {rate} given; at least 1 step, and 0..1")

    first: dict[nn.Parameter, Tensor] = {}  # not in the state yet: Adam takes a state that is not empty for its own

    @torch.no_grad()
    def before(_: Optimizer, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        for parameter in _trained(optimizer):
            if "slow" not in optimizer.state[parameter]:
                first[parameter] = parameter.detach().clone()

    @torch.no_grad()
    def after(_: Optimizer, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        for parameter in _trained(optimizer):
            state = optimizer.state[parameter]
            if parameter in first:
                state["slow"], state["ahead"] = first.pop(parameter), torch.zeros(())
            state["ahead"] += 1
            if state["ahead"] == every:
                state["ahead"].zero_()
                state["slow"].lerp_(parameter, rate)
                parameter.copy_(state["slow"])

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)


def _trained(optimizer: Optimizer) -> list[nn.Parameter]:
    return [one for group in optimizer.param_groups for one in group["params"] if one.requires_grad]
