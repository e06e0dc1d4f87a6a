"""End a run whose loss or gradients are no longer finite, and report the cause and the batch."""

from pathlib import Path
from typing import Any, cast

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from src.callbacks.base import ScheduledCallback
from src.callbacks.checkpoint_io import save_whole
from src.callbacks.gradient_stats import norms
from src.data.dataset import Batch, map_tensors
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

_STRIDE = 5  # batches between two checks, kept until then: a check waits for the device and all processes
_REMEDY = "lower model.optimizer.lr, or clip with +trainer.gradient_clip_val=1"
_ZERO = torch.zeros(())


class NonFiniteGuard(ScheduledCallback):
    """Checks the loss and the gradients, before clipping, of every batch, and the losses of validations.

    If a value is not finite on one process, all processes save their batch to `dirpath` and end with the same
    UserError. With a gradient scaler only the loss counts, since the scaler handles gradients that overflow.
    """

    order = -100  # before callbacks that would log or save the values

    def __init__(self, dirpath: str | Path, on_error: str = "warn"):
        super().__init__(on_error=on_error)
        self.dirpath = Path(dirpath)
        self._batches: list[tuple[int, Batch]] = []  # since the last check, each with the number of steps before it
        self._losses: list[Tensor] = []  # for each batch its loss, then all terms summed over the epoch so far
        self._gradients: list[Tensor] = []  # for each batch the norms, 0 if it made no step
        self._fault = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        named = [] if scaled else [pair for pair in pl_module.named_parameters() if pair[1].requires_grad]
        self._names, self._parameters = [name for name, _ in named], [parameter for _, parameter in named]
        self._norms = self._no_norms = torch.zeros(len(named), device=pl_module.device)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if self._parameters:
            zero = self._parameters[0].new_zeros(())
            self._norms = norms([zero if parameter.grad is None else parameter.grad for parameter in self._parameters])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._batches.append((trainer.global_step, batch))
        self._losses.append(torch.cat([outputs["loss"].reshape(1), cast(VIMHLitModule, pl_module).train_terms.sums]))
        self._gradients.append(self._norms)
        self._norms = self._no_norms
        if len(self._batches) == _STRIDE:
            self._check(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        losses = {
            name: trainer.callback_metrics.get(f"val/{name}_loss", _ZERO)
            for name in cast(VIMHLitModule, pl_module).heads.trained_names
        }
        wrong = [name for name, loss in losses.items() if not loss.isfinite()]  # reduced: the same on all ranks
        if wrong and not trainer.sanity_checking:
            raise UserError(
                f"validation: the loss of {', '.join(wrong)} is not finite after step {trainer.global_step}, "
                f"although the training loss was; {_REMEDY}"
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._check(trainer, pl_module)
        if self._fault:
            raise UserError(self._fault)

    def _check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise UserError, the same on all ranks, if a batch since the last check was not finite on any rank."""
        if not self._batches:
            return
        batches, losses, gradients = self._batches, torch.stack(self._losses).cpu(), torch.stack(self._gradients).cpu()
        self._batches, self._losses, self._gradients = [], [], []
        bad_loss = ~losses[:, 0].isfinite()
        bad = bad_loss | ~gradients.isfinite().all(dim=1)
        # reports the first faulty batch and in it a rank whose loss is not finite, since all ranks share its gradients
        none = 2 * len(batches)
        worst = int(torch.where(bad, 2 * torch.arange(len(batches)) + ~bad_loss, none).min())
        mine = torch.tensor(worst * trainer.world_size + trainer.global_rank, device=pl_module.device)
        worst, rank = divmod(int(trainer.strategy.reduce(mine, reduce_op="min")), trainer.world_size)
        if worst == none:
            return
        step, batch = batches[worst // 2]
        line, where = "", self._keep(batch, step, trainer)
        if rank == trainer.global_rank:  # on other ranks everything may be finite
            module = cast(VIMHLitModule, pl_module)
            what, remedy = self._describe(losses[worst // 2], gradients[worst // 2], batch, module)
            line = f"training: {what} at step {step}; {where}; {remedy}"
        self._fault = trainer.strategy.broadcast(line, src=rank)
        raise UserError(self._fault)

    def _keep(self, batch: Batch, step: int, trainer: Trainer) -> str:
        """Save a batch and return where it is, or why it could not be saved."""
        rank = f"_rank_{trainer.global_rank}" if trainer.world_size > 1 else ""
        path = self.dirpath / f"non_finite_step_{step}{rank}.pt"
        tensors = map_tensors(torch.Tensor.cpu, batch)
        try:
            save_whole({**tensors, "step": step, "epoch": trainer.current_epoch}, path)
        except OSError as error:
            return f"its batch could not be saved ({error})"
        return f"its batch is in {path}"

    def _describe(self, losses: Tensor, gradients: Tensor, batch: Batch, module: VIMHLitModule) -> tuple[str, str]:
        """Return which part of a batch is not finite, and the remedy."""
        for key, value in cast(dict[str, Tensor], batch).items():
            if not value.isfinite().all():
                which = key
                if key == "target":
                    columns = value.isfinite().all(dim=0).tolist()
                    pairs = zip(module.spec.space.names, columns, strict=True)
                    which = f"target of {', '.join(name for name, finite in pairs if not finite)}"
                return f"the {which} is not finite", "the fault is in the dataset: data.verify=true checks its files"
        if losses[0].isfinite():
            wrong = [name for name, norm in zip(self._names, gradients, strict=True) if not norm.isfinite()]
            more = f" and of {len(wrong) - 1} earlier weights" if len(wrong) > 1 else ""
            # the last one comes first in the backward pass
            return f"the loss is finite, but the gradient of {wrong[-1]}{more} is not finite", _REMEDY
        trained = module.heads.trained_names
        finite = dict(zip(module.train_terms.names, losses[1:].isfinite().tolist(), strict=True))
        heads = [name for name in trained if not finite[name]]
        if len(heads) == len(trained) > 1:
            return f"the loss of every head is {float(losses[0])}, so the network's output is not finite", _REMEDY
        terms = [name for name, good in finite.items() if not good and name.partition("/")[0] in heads]
        terms = [name for name in terms if not any(other.startswith(f"{name}/") for other in terms)]
        what = f"loss of {', '.join(terms)}" if terms else "sum of the losses, each of which is finite,"
        return f"the {what} is {float(losses[0])}", _REMEDY
