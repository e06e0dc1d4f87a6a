"""Changing what an optimizer's closure leaves behind, before the optimizer reads the gradients."""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

Closure = Callable[[], Any]


def around_closure(optimizer: Optimizer, change: Callable[[Closure], Any]) -> None:
    """Let `change(closure)` run in the place of the closure of every step; it returns the loss.

    Lightning passes the whole forward and backward pass as the closure. Where it has run already (a gradient
    scaler does that), `change` gets one that does nothing, and the gradients are there, unscaled.
    """

    def hook(_: Optimizer, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict]:
        itself, *rest = arguments  # torch hands the optimizer over twice
        closure = rest[0] if rest else options.get("closure")
        if closure is None:
            change(lambda: None)
            return arguments, options
        return (itself, lambda: change(closure)), {}

    optimizer.register_step_pre_hook(hook)
