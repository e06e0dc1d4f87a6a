"""The balance of several losses: given weights, shares of the gradient, or learned weights."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from src.models.losses.base import Loss
from src.utils.errors import shown

_EMA = 0.999  # of gradient norms, as published
_TINY = 1e-12


class FixedWeights(nn.Module):
    """Each loss times its weight."""

    def forward(self, raw: Tensor, weights: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors (N,) and offsets (N,) of losses (N,): factor * loss + offset is summed."""
        return weights, torch.zeros_like(weights)


class GradientShares(nn.Module):
    """Weights are shares of the gradient at a reference tensor, whatever the scales of the losses.

    Each loss is divided by its gradient norm there (mean over the batch, averaged over steps with bias correction), so
    loss i contributes weight_i / sum(weights) of a total norm of 1 per example. Without gradients it is
    the same as FixedWeights.

    Source: Defossez et al., High Fidelity Neural Audio Compression, section 3.4, arXiv 2210.13438.
    """

    norms: Tensor
    weight_of_norms: Tensor

    def __init__(self, count: int):
        super().__init__()
        self.register_buffer("norms", torch.zeros(count))
        self.register_buffer("weight_of_norms", torch.zeros(()))

    def forward(self, raw: Tensor, weights: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors (N,) and offsets (N,) of losses (N,) that depend on reference (B, ...)."""
        if self.training and torch.is_grad_enabled() and reference.requires_grad:
            norms = torch.stack([_mean_norm(loss, reference) for loss in raw]).detach()
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(norms)  # of means over equal shares of the batch
                norms = norms / torch.distributed.get_world_size() ** 2  # of the mean over the whole batch
            so_far = self.norms / self.weight_of_norms.clamp_min(_TINY)
            norms = torch.where(norms.isfinite(), norms, so_far)  # ignores a step that will be skipped
            self.norms.mul_(_EMA).add_(norms.to(self.norms), alpha=1.0 - _EMA)
            self.weight_of_norms.mul_(_EMA).add_(1.0 - _EMA)
            average = (self.norms / self.weight_of_norms).to(weights)
            shares = weights / weights.sum().clamp_min(_TINY) / average.clamp_min(_TINY)  # all schedules may be at 0
            weights = torch.where(average > _TINY, shares, torch.zeros_like(shares))  # otherwise no gradient
        return weights, torch.zeros_like(weights)


def _mean_norm(loss: Tensor, reference: Tensor) -> Tensor:
    """Return the norm of a loss's gradient at reference (B, ...), averaged over the examples."""
    with torch.autocast(loss.device.type, enabled=False):  # autocast would also round the backward products
        (gradient,) = torch.autograd.grad(loss, reference, retain_graph=True, allow_unused=True)
    if gradient is None:
        return loss.new_zeros(())
    return gradient.reshape(len(gradient), -1).to(loss.dtype).norm(dim=1).mean()


class LearnedWeights(nn.Module):
    """Each loss is divided by a learned variance, whose logarithm is added.

    weight / 2 * (exp(-s) * loss + s) with s = log variance: at the optimum s is the log of the loss, so all losses have
    the same influence. The total can be negative, but a loss must not be, or s would decrease without bound.

    Source: Kendall, Gal, Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses, arXiv 1705.07115.
    """

    def __init__(self, count: int):
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(count))

    def forward(self, raw: Tensor, weights: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors (N,) and offsets (N,) of losses (N,)."""
        half = 0.5 * weights
        return half * torch.exp(-self.log_variances), half * self.log_variances


_BALANCES: dict[str, Callable[[int], nn.Module]] = {
    "weights": lambda count: FixedWeights(),
    "gradient": GradientShares,
    "uncertainty": LearnedWeights,
}


def make_balance(kind: str, losses: Sequence[Loss], more: int = 0) -> nn.Module:
    """Return the balance of losses: weights, gradient or uncertainty; raise ValueError for another.

    `more` is the number of further losses, after these, which are never negative.
    """
    if kind not in _BALANCES:
        raise ValueError(f"balance: {shown(kind)} given; give one of {', '.join(_BALANCES)}")
    negative = [loss.label for loss in losses if loss.may_be_negative]
    if kind == "uncertainty" and negative:
        raise ValueError(f"balance: uncertainty needs losses above 0, but {negative[0]} may be negative; use gradient")
    return _BALANCES[kind](len(losses) + more)
