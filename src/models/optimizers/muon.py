"""Muon orthogonalises the momentum of each weight matrix; AdamW updates all other weights."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.utils.errors import UserError

_POLYNOMIAL = (3.4445, -4.7750, 2.0315)  # of Jordan's Newton-Schulz iteration
_RMS = 0.2  # of a step of AdamW, in units of the rate, as Liu et al. measured
_TINY = 1e-7


class Muon(Optimizer):
    """Orthogonalise the momentum of each matrix and kernel; AdamW for all other weights.

    A kernel is a matrix with a row for each output channel. Weights with a single row (biases, norms, tokens,
    positions) are those of AdamW. The step of a matrix is scaled to the root mean square of a step of AdamW, so that
    both share the rate and the weight decay. Unlike torch.optim.Muon, it accepts kernels, takes all weights of a model,
    and computes in the weights' own precision.

    Sources: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024
    (kellerjordan.github.io/posts/muon); Liu et al., Muon is Scalable for LLM Training, arXiv 2502.16982, section 2.2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        iterations: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        if not 0 <= momentum < 1 or not 0 <= betas[0] < 1 or not 0 <= betas[1] < 1:
            raise UserError(f"model.optimizer: momentum {momentum}, betas {list(betas)} given; give 0 to below 1")
        if min(lr, weight_decay) < 0 or eps <= 0:
            raise UserError(
                f"model.optimizer: lr {lr}, weight_decay {weight_decay}, eps {eps} given; "
                "none may be negative, and eps must be above 0"
            )
        if iterations < 1:
            raise UserError(f"model.optimizer.iterations: {iterations} given; give at least 1")
        self.iterations = iterations  # not in the groups, whose values come from a checkpoint when a run is resumed
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "betas": tuple(betas), "eps": eps}
        super().__init__(params, defaults | {"step": 0})
        if not any(is_matrix(weight) for group in self.param_groups for weight in group["params"]):
            raise UserError("model.optimizer: muon needs matrices, but finds none (fsdp splits them); use adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Compute the loss with `closure`, if one is given, and update all weights."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["step"] += 1  # on the CPU
            trained = [weight for weight in group["params"] if weight.grad is not None]
            if trained:
                torch._foreach_mul_(trained, 1.0 - group["lr"] * group["weight_decay"])
            self._step_vectors([weight for weight in trained if not is_matrix(weight)], group)
            for weight in trained:
                if is_matrix(weight):
                    self._step_matrix(weight, group)
        return loss

    def _step_matrix(self, weight: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[weight], cast(Tensor, weight.grad)
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
        nesterov = torch.lerp(gradient, state["momentum"], group["momentum"])
        step = orthogonalise(nesterov.flatten(1), self.iterations)
        scale = _RMS * max(step.shape) ** 0.5
        weight.add_(step.view_as(weight), alpha=-group["lr"] * scale)

    def _step_vectors(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        if not weights:
            return
        for weight in weights:
            if "mean" not in self.state[weight]:
                self.state[weight] |= {"mean": torch.zeros_like(weight), "square": torch.zeros_like(weight)}
        gradients = [cast(Tensor, weight.grad) for weight in weights]
        means = [self.state[weight]["mean"] for weight in weights]
        squares = [self.state[weight]["square"] for weight in weights]
        (beta, beta_square), step = group["betas"], group["step"]
        torch._foreach_lerp_(means, gradients, 1.0 - beta)
        torch._foreach_mul_(squares, beta_square)
        torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - beta_square)
        deviations = torch._foreach_sqrt(squares)
        torch._foreach_div_(deviations, (1.0 - beta_square**step) ** 0.5)
        torch._foreach_add_(deviations, group["eps"])
        torch._foreach_addcdiv_(weights, means, deviations, -group["lr"] / (1.0 - beta**step))


def is_matrix(weight: Tensor) -> bool:
    """Return whether a weight has several rows of several numbers, as kernels and the matrices of layers do."""
    return weight.ndim > 1 and weight.shape[0] > 1 and weight[0].numel() > 1


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Return U V^T for a matrix (m, n) = U S V^T, with singular values of about 0.7 to 1.2, by Newton-Schulz."""
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / (wide.norm() + _TINY)  # no singular value is above 1
    first, third, fifth = _POLYNOMIAL
    for _ in range(iterations):
        square = wide @ wide.mT
        factor = torch.addmm(square, square, square, beta=third, alpha=fifth)
        wide = torch.addmm(wide, factor, wide, beta=first)
    return wide.mT if matrix.shape[0] > matrix.shape[1] else wide
