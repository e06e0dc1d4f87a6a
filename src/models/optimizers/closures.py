"""Change the gradients that an optimizer's closure computes, before the optimizer uses them."""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

Closure = Callable[[], Any]


def around_closure(optimizer: Optimizer, change: Callable[[Closure], Any]) -> None:
    """Run `change(closure)` instead of the closure of every step; it returns the loss.

    Lightning passes the whole forward and backward pass as the closure. If it has already run, as with a gradient
    scaler, `change` gets a closure that does nothing, and the unscaled gradients exist.
    """

    def hook(_: Optimizer, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict]:
        itself, *rest = arguments  # torch passes the optimizer twice
        closure = rest[0] if rest else options.get("closure")
        if closure is None:
            change(lambda: None)
            return arguments, options
        return (itself, lambda: change(closure)), {}

    optimizer.register_step_pre_hook(hook)
