"""The LightningModule: backbone -> features -> heads, built from the dataset's spec, once."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor, nn

from src.data.spec import DatasetSpec
from src.data.vimh_dataset import Batch
from src.models.components.auxiliary import AuxiliaryInputs
from src.models.head_metrics import HeadMetrics, TermMeans
from src.models.multi_head import MultiHead, head_configs
from src.models.optimizers.groups import layer_weights, parameter_groups
from src.models.schedules import Plateau, optimizer_steps, require_even_epochs
from src.utils.checkpoints import forget_bests
from src.utils.errors import UserError

AUXILIARY_INPUTS = 2  # the dB range of an image: what per-sample scaling takes out of it


class VIMHLitModule(LightningModule):
    """A backbone and its heads.

    `network` is called with `in_channels` and `image_size` (H, W) and gives a module with
    `feature_dim`; `optimizer` with parameter groups (see src.models.optimizers.groups), then each of `wrappers`
    with the optimizer and this module; `scheduler` with the optimizer, `total_steps` and `steps_per_epoch`, and is
    stepped every batch. With `auxiliary` (concat or film) the image's dB range joins the features.
    `balance` says what the heads' weights mean, see src.models.losses.balance. `compile` compiles the network
    for training; `channels_last` keeps its images and weights in that memory format. `config` is the plain
    dict that this module was built from, of which configs/optimizer reads `adam_lr`: it goes into every
    checkpoint, beside `spec`.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        network: Callable[..., nn.Module],
        heads: Mapping[str, Any] | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        wrappers: Mapping[str, Callable[..., None]] | None = None,
        lr_multipliers: Mapping[str, float] | None = None,
        adam_lr: float | None = None,
        auxiliary: str | None = None,
        balance: str = "weights",
        compile: bool = False,
        channels_last: bool = False,
        config: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        for key, value in (("compile", compile), ("channels_last", channels_last)):
            if not isinstance(value, bool):
                raise UserError(f"model.{key}: {value!r} given; true or false")
        channels, height, width = spec.image_shape
        self.spec = spec
        self.config = config
        self.network = network(in_channels=channels, image_size=(height, width))
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(memory_format=self._memory_format)
        self._compile = compile
        feature_dim = self.network.feature_dim
        self.auxiliary = AuxiliaryInputs(AUXILIARY_INPUTS, feature_dim, auxiliary) if auxiliary else None
        feature_dim = self.auxiliary.feature_dim if self.auxiliary else feature_dim
        self.heads = MultiHead(feature_dim, spec.space, head_configs(spec.space, heads or {}), balance)
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self._wrappers = dict(wrappers or {})
        self._lr_multipliers = lr_multipliers
        self._decaying = layer_weights(self)  # now: fsdp leaves no shapes to tell them by
        self.second_pass = False  # of a step that takes two: its losses are not counted again
        self.train_terms = TermMeans(["", *self.heads.term_names])
        self.val_metrics = HeadMetrics(spec.space, self.heads.weights)
        self.test_metrics = HeadMetrics(spec.space, self.heads.weights)
        self._resumed_rng: Tensor | None = None
        self._seed = 0

    def forward(self, image: Tensor, scale: Tensor | None = None) -> dict[str, Tensor]:
        """Map images (B, C, H, W) in [0, 1], and dB ranges (B, 2), to raw outputs, name -> (B, K)."""
        return self.heads(self.features(image, scale))

    def features(self, image: Tensor, scale: Tensor | None = None) -> Tensor:
        """Map images (B, C, H, W) in [0, 1], and dB ranges (B, 2), to the features (B, D) that all heads read."""
        features = self.network(image.contiguous(memory_format=self._memory_format))
        if self.auxiliary is None:
            return features
        if scale is None:
            raise ValueError("this model was trained with auxiliary inputs: pass scale (B, 2) in dB")
        return self.auxiliary(features, (scale + 40.0) / 40.0)  # -80..0 dB to -1..1

    @property
    def monitorable(self) -> list[str]:
        """Names of the metrics that a training run logs and may select on."""
        train = ["train/loss", *(f"train/loss/{name}" for name in self.heads.term_names)]
        return [*train, "val/loss", *(f"val/{name}" for name in self.val_metrics.names)]

    def values(self, image: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return predictions (B, P) in physical units."""
        return self.heads.values(self(image, scale))

    def predict(self, image: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return predictions and their uncertainties, both (B, P) in physical units."""
        outputs = self(image, scale)
        return self.heads.values(outputs), self.heads.uncertainties(outputs)

    def setup(self, stage: str) -> None:
        if stage == "fit" and self._compile:
            self.network.compile()  # in place, so that the weights keep their names

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        features = self.features(batch["image"], batch["scale"])
        losses, terms = self.heads.losses(self.heads(features), batch["target"])
        loss = self.heads.total(losses, features)
        if not self.second_pass:
            plain = (losses.detach() * self.heads.weights).sum()  # comparable with val/loss, whatever model.balance
            self.train_terms.update(torch.cat([plain[None], terms]), len(batch["target"]))
        return loss

    def on_train_epoch_end(self) -> None:
        means = self.train_terms.compute()
        self.log_dict({f"train/loss/{name}" if name else "train/loss": value for name, value in means.items()})
        self.train_terms.reset()

    def on_validation_epoch_start(self) -> None:
        if self.trainer.world_size > 1:  # batch norm's averages are each process's own; a checkpoint holds the first's
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure(self.val_metrics, batch)

    def on_validation_epoch_end(self) -> None:
        results = self._report("val", self.val_metrics)
        if isinstance(scheduler := self.lr_schedulers(), Plateau) and not self.trainer.sanity_checking:
            scheduler.observe(float(results["nmae"]))
        unknown = results["nmae"].new_tensor(math.nan)  # a category has no RMSE
        rmse = [results.get(f"{name}_rmse", unknown) for name in self.spec.space.names]
        self.heads.residuals.copy_(torch.stack(rmse))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure(self.test_metrics, batch)

    def on_test_epoch_end(self) -> None:
        self._report("test", self.test_metrics)

    def _measure(self, metrics: HeadMetrics, batch: Batch) -> None:
        if not len(batch["target"]):  # there was nothing left for this one of several processes
            return
        outputs = self(batch["image"], batch["scale"])
        losses, _ = self.heads.losses(outputs, batch["target"])
        metrics.update(self.heads.values(outputs), self.heads.levels(outputs), batch["target"], losses)

    def _report(self, stage: str, metrics: HeadMetrics) -> dict[str, Tensor]:
        results = metrics.compute()
        losses = torch.stack([results[f"{name}_loss"] for name in self.spec.space.names])
        results["loss"] = (losses * self.heads.weights).sum()
        self.log_dict({f"{stage}/{name}": value for name, value in results.items()}, sync_dist=False)
        metrics.reset()
        return results

    def configure_optimizers(self) -> Any:
        lr = getattr(self._make_optimizer, "keywords", {}).get("lr")
        groups = parameter_groups(self, lr, self._lr_multipliers, self._decaying)
        try:
            optimizer = self._make_optimizer(groups)
            for wrap in self._wrappers.values():  # one that refuses this trainer does so before the data is read
                wrap(optimizer, self)
            if self._make_scheduler is None:
                return optimizer
            steps = optimizer_steps(self.trainer)
            if getattr(self._make_scheduler, "keywords", {}).get("interval") == "epoch":
                require_even_epochs(self.trainer)
            batches = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
            per_epoch = max(1, math.ceil(min(steps, batches)))  # not all epochs where max_steps ends the run
            scheduler = self._make_scheduler(optimizer, total_steps=steps, steps_per_epoch=per_epoch)
        except UserError:
            raise
        except (TypeError, ValueError) as error:
            raise UserError(
                f"model.optimizer or model.scheduler: {error}; see configs/optimizer, /scheduler"
            ) from error
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        self._seed = torch.initial_seed()
        if self._resumed_rng is not None:
            torch.set_rng_state(self._resumed_rng)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw each of several processes' dropout from (seed, epoch, batch, rank), which no checkpoint need hold."""
        if self.trainer.world_size > 1:
            words = [self._seed, self.current_epoch, batch_idx, self.global_rank]
            seed = int(np.random.SeedSequence(words).generate_state(1)[0])
            torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 0.1 ms
            if self.device.type == "cuda":
                torch.cuda.manual_seed(seed)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._resumed_rng = checkpoint["rng_state"].cpu()
        if checkpoint["dataset_spec"].get("sha256") != self.spec.sha256:
            forget_bests(checkpoint)
        if self.trainer.is_global_zero:  # it has the sums of all: those of an epoch that goes on within
            for name, value in checkpoint.get("train_terms", {}).items():
                ours = getattr(self.train_terms, name)
                if ours.shape == value.shape:  # else its losses have other terms
                    ours.copy_(value)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["rng_state"] = torch.get_rng_state()  # dropout of a resumed run on a CPU then goes on where it was
        reduce = self.trainer.strategy.reduce
        sums = {name: getattr(self.train_terms, name).clone() for name in ("sums", "count")}
        checkpoint["train_terms"] = {name: reduce(one, reduce_op="sum") for name, one in sums.items()}
        checkpoint["model_config"] = self.config
        checkpoint["dataset_spec"] = self.spec.to_dict()
        checkpoint["data_settings"] = dict(self.trainer.datamodule.settings)
