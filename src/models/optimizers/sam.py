"""Sharpness-aware minimisation: use the gradient where the loss near the weights is highest."""

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
    """Step by the gradient at w + rho g / |g|, for any optimizer; a step needs two passes.

    Source: Foret et al., Sharpness-Aware Minimization, arXiv 2010.01412.
    """
    _sharpness_aware(optimizer, model, rho, lambda parameter: torch.ones((), device=parameter.device))


def asam(optimizer: Optimizer, model: nn.Module, rho: float = 0.5, eta: float = 0.01) -> None:
    """SAM with a neighbourhood that scales with the weights: w + rho T^2 g / |T g| with T = |w| + eta.

    Source: Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, arXiv 2102.11600.
    """
    _sharpness_aware(optimizer, model, rho, lambda parameter: parameter.abs() + eta)


def _sharpness_aware(optimizer: Optimizer, model: nn.Module, rho: float, scale_of: Any) -> None:
    if not rho > 0:
        raise UserError(f"model.wrappers: rho {rho} given; give more than 0, such as 0.05 for SAM and 0.5 for ASAM")
    _refuse(getattr(model, "_trainer", None))  # None outside of a fit, where `trainer` would raise

    def change(closure: Closure) -> Any:
        with _restored_random_state(model):
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
    """Raise UserError for a trainer with which the second pass would be wrong."""
    if trainer is None:
        return
    reason = None
    if getattr(trainer.precision_plugin, "scaler", None) is not None:
        reason = "trainer.precision=16-mixed scales the loss of one pass per step; use bf16-mixed or 32-true"
    elif trainer.accumulate_grad_batches > 1 or accumulates_by_epoch(trainer):
        reason = "gradients are accumulated over several batches, but the second pass has one; raise data.batch_size"
    elif isinstance(trainer.strategy, FSDPStrategy):
        reason = "with fsdp each process has only a part of the gradient, not its full norm; use trainer=ddp"
    if reason:
        raise UserError(f"model.wrappers: SAM and ASAM need two passes per step; {reason}")


@torch.no_grad()
def _climb(optimizer: Optimizer, rho: float, scale_of: Any) -> list[tuple[nn.Parameter, Tensor]]:
    """Move the weights to where the loss is highest nearby; return each weight with its previous value."""
    trained = [weight for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None]
    if not trained:
        return []
    scales = [scale_of(parameter) for parameter in trained]
    norms = [(scale * weight.grad.float()).norm() for scale, weight in zip(scales, trained, strict=True)]
    factor = rho / torch.stack(norms).norm().clamp_min(_TINY)
    before = [(weight, weight.clone()) for weight in trained]
    for scale, weight in zip(scales, trained, strict=True):
        weight.add_((scale**2 * weight.grad * factor).to(weight))
    return before


@contextmanager
def _restored_random_state(model: nn.Module) -> Iterator[None]:
    """Restore the random state afterwards, so that dropout is the same in the second pass."""
    device = next(model.parameters()).device
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        yield


@contextmanager
def _second_pass(model: Any) -> Iterator[None]:
    """Keep the second pass from changing the model's buffers (running statistics, step counters) and metrics."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    model.second_pass = True
    try:
        yield
    finally:
        model.second_pass = False
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
