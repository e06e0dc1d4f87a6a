"""Lookahead: slow weights that follow the fast weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.utils.errors import UserError


def lookahead(optimizer: Optimizer, model: nn.Module, every: int = 6, rate: float = 0.5) -> None:
    """After `every` steps move the slow weights by `rate` towards the fast weights, and continue from there.

    The slow weights, and the number of steps since then, are part of the optimizer's state and so of checkpoints.

    Source: Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, arXiv 1907.08610.
    """
    if every < 1 or not 0 < rate <= 1:
        raise UserError(
            f"model.wrappers.lookahead: every {every}, rate {rate} given; give every >= 1 and a rate from 0 to 1"
        )

    first: dict[nn.Parameter, Tensor] = {}  # not yet in the state: Adam assumes that a non-empty state is its own

    @torch.no_grad()
    def before(_: Optimizer, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        for parameter in (weight for group in optimizer.param_groups for weight in group["params"]):
            if "slow" not in optimizer.state[parameter]:
                first[parameter] = parameter.detach().clone()

    @torch.no_grad()
    def after(_: Optimizer, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        for parameter, slow in first.items():
            optimizer.state[parameter]["slow"] = slow
        first.clear()
        for group in optimizer.param_groups:  # a group's numbers stay on the CPU when a run is resumed
            group["ahead"] = (group.get("ahead", 0) + 1) % every
            for parameter in group["params"] if group["ahead"] == 0 else ():
                parameter.copy_(optimizer.state[parameter]["slow"].lerp_(parameter, rate))

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
