"""Sharpness-aware minimisation: the gradient is taken where the loss near the weights is highest."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from src.models.optimizers.closures import Closure, around_closure
from src.models.schedules import accumulates_by_epoch
from src.utils.errors import UserError

_TINY = 1e-12


def sam(optimizer: Optimizer, model: nn.Module, rho: float = 0.05) -> None:
    """Step by the gradient at w + rho g / |g|, for any optimizer; a step costs two passes.

    Source: Foret et al., Sharpness-Aware Minimization, arXiv 2010.01412.
    """
    _sharpness_aware(optimizer, model, rho, lambda parameter: torch.ones((), device=parameter.device))


def asam(optimizer: Optimizer, model: nn.Module, rho: float = 0.5, eta: float = 0.01) -> None:
    """SAM whose neighbourhood follows the weights' sizes: w + rho T^2 g / |T g| with T = |w| + eta.

    Source: Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, arXiv 2102.11600.
    """
    _sharpness_aware(optimizer, model, rho, lambda parameter: parameter.abs() + eta)


def _sharpness_aware(optimizer: Optimizer, model: nn.Module, rho: float, scale_of: Any) -> None:
    if not rho > 0:
        raise UserError(f"model.wrappers: rho {rho} given; above 0, such as 0.05 for SAM and 0.5 for ASAM")
    _refuse(getattr(model, "_trainer", None))  # none outside of a fit; `trainer` itself would raise then

    def change(closure: Closure) -> Any:
        with _the_same_noise_twice(model):
            loss = closure()
        before = _climb(optimizer, rho, scale_of)
        with _second_pass(model):
            closure()
        with torch.no_grad():
            for parameter, weights in before:
                parameter.copy_(weights)
        return loss

    around_closure(optimizer, change)


def _refuse(trainer: Trainer | None) -> None:
    """Raise UserError for a trainer under which the second pass cannot be right."""
    if trainer is None:
        return
    reason = None
    if getattr(trainer.precision_plugin, "scaler", None) is not None:
        reason = "trainer.precision=16-mixed scales the loss of one pass a step; use bf16-mixed or 32-true"
    elif trainer.accumulate_grad_batches > 1 or accumulates_by_epoch(trainer):
        reason = "accumulated gradients are of several batches, the second pass sees one; raise data.batch_size"
    elif isinstance(trainer.strategy, FSDPStrategy):
        reason = "fsdp gives each process a part of the gradient, whose length is not the whole one's; use trainer=ddp"
    if reason:
        raise UserError(f"model.wrappers: SAM and ASAM need two passes a step; {reason}")


@torch.no_grad()
def _climb(optimizer: Optimizer, rho: float, scale_of: Any) -> list[tuple[nn.Parameter, Tensor]]:
    """Move the weights to where the loss is highest nearby; return what each one was."""
    trained = [one for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
    if not trained:
        return []
    scales = [scale_of(parameter) for parameter in trained]
    norms = [(scale * one.grad.float()).norm() for scale, one in zip(scales, trained, strict=True)]
    factor = rho / torch.stack(norms).norm().clamp_min(_TINY)
    before = [(one, one.clone()) for one in trained]
    for scale, one in zip(scales, trained, strict=True):
        one.add_((scale**2 * one.grad * factor).to(one))
    return before


@contextmanager
def _the_same_noise_twice(model: nn.Module) -> Iterator[None]:
    """Leave the random numbers as they were, so that dropout drops the same in the second pass."""
    device = next(model.parameters()).device
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        yield


@contextmanager
def _second_pass(model: nn.Module) -> Iterator[None]:
    """Let the model's buffers (running statistics, counters of steps) and metrics see the first pass only."""
    before = [(one, one.clone()) for one in model.buffers()]
    model.second_pass = True
    try:
        yield
    finally:
        model.second_pass = False
        with torch.no_grad():
            for one, value in before:
                one.copy_(value)
