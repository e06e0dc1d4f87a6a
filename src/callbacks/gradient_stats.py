"""Norms of gradients and updates, by head and by block of the network."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn

from src.callbacks.base import ScheduledCallback
from src.models.heads.multi_head import MultiHead
from src.utils.errors import UserError

_TINY = 1e-12


class GradientStats(ScheduledCallback):
    """Logs `grad_norm/{group}` and `update_ratio/{group}` once an epoch, as means over every `every`-th step.

    The norm is that of the gradient before clipping, the ratio is |change of the weights| / |weights| in one step,
    each over all weights of a group. `grad_norm/max` is the epoch's largest norm over all groups together.
    """

    rank_zero = True  # gradients are already averaged over all processes

    def __init__(self, every: int = 10, on_error: str = "warn"):
        super().__init__(every, after="step", on_error=on_error)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(trainer.strategy, FSDPStrategy):
            raise UserError("callbacks.gradient_stats: fsdp splits the gradients that norms need; use trainer=ddp")
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._parts = parts(pl_module)
        self._groups = list(dict.fromkeys(group for group, _, _ in self._parts))
        at = [self._groups.index(group) for group, _, _ in self._parts]
        self._at = torch.tensor(at, device=pl_module.device)
        self._before: list[Tensor] = []
        self._norms: list[Tensor] = []
        self._ratios: list[Tensor] = []

    @torch.no_grad()
    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if (self._count + 1) % self.every == 0:
            self._before = self._before or [weight.clone() for weight in self._weights()]  # SAM calls this twice a step
            self._gradient = self._by_group([_gradient(parameter, rows) for _, parameter, rows in self._parts])

    @torch.no_grad()
    def act(self, trainer: Trainer, pl_module: LightningModule) -> None:
        changes = self._by_group(torch._foreach_sub(self._weights(), self._before))
        self._ratios.append(changes / self._by_group(self._before).clamp_min(_TINY))
        self._norms.append(self._gradient)
        self._before = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._norms:  # fewer steps than `every`
            return
        norms, ratios = torch.stack(self._norms), torch.stack(self._ratios)
        self._norms, self._ratios = [], []
        pl_module.log_dict(
            {f"grad_norm/{group}": value for group, value in zip(self._groups, norms.mean(dim=0), strict=True)}
            | {f"update_ratio/{group}": value for group, value in zip(self._groups, ratios.mean(dim=0), strict=True)}
            | {"grad_norm/max": norms.norm(dim=1).max()},
            rank_zero_only=True,
        )

    def _weights(self) -> list[Tensor]:
        return [parameter[rows] for _, parameter, rows in self._parts]

    def _by_group(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the norms (G,) of the groups, given one tensor for each part."""
        squares = norms(tensors).square()
        return squares.new_zeros(len(self._groups)).index_add(0, self._at, squares).sqrt()


def _gradient(parameter: nn.Parameter, rows: slice) -> Tensor:
    return parameter.new_zeros(()) if parameter.grad is None else parameter.grad[rows]


def norms(tensors: Iterable[Tensor]) -> Tensor:
    """Return the Euclidean norm of each tensor, (N,)."""
    return torch.stack(torch._foreach_norm(list(tensors)))


def parts(module: nn.Module) -> list[tuple[str, nn.Parameter, slice]]:
    """Return (group, parameter, rows) of each trained parameter.

    The rows of the linear layer that all heads share are grouped by head. Other parameters are grouped by their path up
    to its first number, such as network.stages.0, or by the first two parts of the path.
    """
    found = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        path, _, _ = name.rpartition(".")
        owner, _, layer = path.rpartition(".")
        heads = module.get_submodule(owner)
        if isinstance(heads, MultiHead) and layer == "linear":
            start = 0
            for head, size in zip(heads.space.names, heads.sizes, strict=True):
                found.append((f"{owner}.{head}", parameter, slice(start, start + size)))
                start += size
        else:
            found.append((_group(path.split(".")), parameter, slice(None)))
    return found


def _group(path: list[str]) -> str:
    number = next((at for at, part in enumerate(path) if part.isdigit()), 1)
    return ".".join(path[: number + 1])
