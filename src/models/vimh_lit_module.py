"""The LightningModule: backbone -> features -> task, built from the dataset's spec."""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor, nn

from src.data.dataset import Batch
from src.data.spec import DatasetSpec
from src.models.augmentable import require_augmentable
from src.models.components.auxiliary import AuxiliaryInputs
from src.models.feature_distribution import (
    FeatureDistribution,
    ValidationFeatures,
    described,
    description_size,
    distribution_of,
)
from src.models.heads.metrics import TermMeans
from src.models.heads.multi_head import Estimates
from src.models.optimizers.groups import layer_weights, parameter_groups
from src.models.schedules import Plateau, optimizer_steps, require_even_epochs
from src.models.tasks.parameters import ParametersTask
from src.models.tasks.task import Outputs, Stage, Task
from src.utils.errors import UserError, one_line

log = logging.getLogger(__name__)

AUXILIARY_INPUTS = 2  # the dB range of an image, which per-sample scaling removes from it
DEFAULT_RANGE_DB = (-80.0, 0.0)  # for datasets and checkpoints that do not state it


class VIMHLitModule(LightningModule):
    """A backbone and a task, which by default predicts the dataset's parameters by one head each.

    `network` is called with `in_channels` and `image_size` (H, W) and returns a module with `feature_dim`. It receives
    images in the value range of the dataset, or of zero mean and unit variance if its `normalised_input` is true. If
    its `dense` is true, it returns features of each pixel, which only a task with the same attribute can use.
    `task` is called as in src.models.tasks.task, also with `heads` and `balance`; it is stored as `heads`.
    `optimizer` is called with parameter groups (see src.models.optimizers.groups), then each of `wrappers` with
    the optimizer and this module. `scheduler` is called with the optimizer, `total_steps` and `steps_per_epoch`; it
    is stepped every batch. `auxiliary` (concat or film) adds the image's dB range to the features. `balance` determines
    the meaning of the heads' weights, see src.models.losses.combine.balance. `compile` compiles the network for
    training; `channels_last` stores its images and weights in that memory format. `config` is the plain dict from which
    this module was built; every checkpoint contains it and `spec`.
    """

    range_db: Tensor  # the levels in dB of 0 and 1 in the image
    input_scale: Tensor  # of the normalisation, (C or 1, 1, 1)
    input_offset: Tensor

    def __init__(
        self,
        spec: DatasetSpec,
        network: Callable[..., nn.Module],
        heads: Mapping[str, Any] | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        wrappers: Mapping[str, Callable[..., None]] | None = None,
        lr_multipliers: Mapping[str, float] | None = None,
        auxiliary: str | None = None,
        balance: str = "weights",
        compile: bool = False,
        channels_last: bool = False,
        task: Callable[..., Task] = ParametersTask,
        config: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        for key, value in (("compile", compile), ("channels_last", channels_last)):
            if not isinstance(value, bool):
                raise UserError(f"model.{key}: {value!r} given; give true or false")
        channels, height, width = spec.image_shape
        self.spec = spec
        self.config = config
        self.network = network(in_channels=channels, image_size=(height, width))
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(memory_format=self._memory_format)
        self._normalises = _normalises(self.network)
        for name, factor in zip(("input_scale", "input_offset"), spec.inputs.scale_and_offset(), strict=True):
            self.register_buffer(name, factor, persistent=False)
        self._compile = compile
        feature_dim = int(cast(Any, self.network).feature_dim)
        self.auxiliary = AuxiliaryInputs(AUXILIARY_INPUTS, feature_dim, auxiliary) if auxiliary else None
        if self.auxiliary:
            self.register_buffer("range_db", torch.tensor(_range_db(spec)))
            self.register_load_state_dict_pre_hook(_complete_old_state)
        feature_dim = self.auxiliary.feature_dim if self.auxiliary else feature_dim
        self.heads = task(feature_dim=feature_dim, spec=spec, heads=heads or {}, balance=balance)
        _require_same_density(self.network, self.heads, auxiliary)
        self.description_size = description_size(feature_dim, channels)
        self.feature_distribution: FeatureDistribution | None = None  # of the last validation
        self.val_features = ValidationFeatures(self.description_size, spec.counts.get("val", 0))
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self._wrappers = dict(wrappers or {})
        self._lr_multipliers = lr_multipliers
        self._decaying = layer_weights(self)  # determined now, since fsdp flattens all weights
        self.second_pass = False  # of a step with two passes, whose losses are not counted again
        self.train_terms = TermMeans(["", *self.heads.term_names])
        self._resumed_rng: Tensor | None = None
        self._seed = 0

    def forward(self, image: Tensor, scale: Tensor | None = None) -> dict[str, Tensor]:
        """Map images (B, C, H, W), and dB ranges (B, 2), to the task's raw outputs, name -> (B, K, ...)."""
        return self.heads(self.features(image, scale))

    def features(self, image: Tensor, scale: Tensor | None = None) -> Tensor:
        """Map images (B, C, H, W), and dB ranges (B, 2), to the features that the task reads: (B, D), or (B, D, H, W).

        Images are in the value range of the dataset's inputs: spectral images in [0, 1].
        """
        image = image.contiguous(memory_format=self._memory_format)
        if self._normalises:
            image = self.input_scale * image + self.input_offset
        features = self.network(image)
        if self.auxiliary is None:
            return features
        if scale is None:
            raise ValueError("this model was trained with auxiliary inputs: pass scale (B, 2) in dB")
        low, high = self.range_db
        return self.auxiliary(features, (2.0 * scale - low - high) / (high - low))  # low..high to -1..1

    def distances(self, image: Tensor, features: Tensor) -> Tensor:
        """Return how unlike those of validation sounds images and their features are, (B,) on the CPU: 1 is the limit.

        They are NaN if no validation has determined a limit.
        """
        if self.feature_distribution is None:
            return torch.full((len(features),), torch.nan)
        return self.feature_distribution.distances(described(image, features))

    @property
    def monitorable(self) -> list[str]:
        """Names of the metrics that a training run logs and can monitor."""
        train = ["train/loss", *(f"train/loss/{name}" for name in self.heads.term_names)]
        return [*train, "val/loss", *(f"val/{name}" for name in self.heads.metric_names)]

    @property
    def resuming(self) -> bool:
        """Whether a trainer has begun to read a checkpoint and has not yet continued from it."""
        return self._resumed_rng is not None

    def values(self, image: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return the task's predictions: parameters (B, P) in physical units, images (B, C, H, W) or maps (B, H, W)."""
        return self.heads.values(self(image, scale))

    def predict(self, image: Tensor, scale: Tensor | None = None) -> Estimates:
        """Return predicted parameters with their uncertainties and intervals, each (B, P) in physical units."""
        return self.heads.estimates(self(image, scale))

    def setup(self, stage: str) -> None:
        if stage == "fit" and self._compile:
            self.network.compile()  # in place, so that the weights keep their names

    def on_fit_start(self) -> None:
        self._prepare_heads()
        datamodule = getattr(self.trainer, "datamodule", None)
        augmentation = getattr(datamodule, "augmentation", None)
        if datamodule is not None and augmentation is not None and not augmentation.checked:
            datamodule.augmentation = require_augmentable(augmentation, self.spec, self.heads, datamodule.trust)

    def on_test_start(self) -> None:
        try:
            self._prepare_heads()
        except UserError as error:  # the other figures of a test do not need it
            log.warning("a loss is not measured: %s", error)

    def _prepare_heads(self) -> None:
        datamodule = getattr(self.trainer, "datamodule", None)
        self.heads.prepare(getattr(datamodule, "trust", ()))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        features = self.features(batch["image"], batch.get("scale"))
        losses, terms = self.heads.batch_losses(self.heads(features), batch)
        loss = self.heads.total(losses, features)
        if not self.second_pass:
            plain = (losses.detach() * self.heads.weights).sum()  # comparable with val/loss for any model.balance
            self.train_terms.update(torch.cat([plain[None], terms]), len(batch["image"]))
        return loss

    def on_train_epoch_end(self) -> None:
        means = self.train_terms.compute()
        self.log_dict({f"train/loss/{name}" if name else "train/loss": value for name, value in means.items()})
        self.train_terms.reset()

    def on_validation_epoch_start(self) -> None:
        self.heads.start_epoch(self.current_epoch)
        if self.trainer.world_size > 1:  # batch norm's averages differ; checkpoints hold the first process's
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def validation_step(self, batch: Batch, batch_idx: int) -> Outputs | None:
        """Return the task's raw outputs, which callbacks show; None if this process has no sample of the batch."""
        return self._observe("val", batch)

    def on_validation_epoch_end(self) -> None:
        results = self._report("val")
        found = self.val_features.compute()
        self.val_features.reset()
        self.feature_distribution = FeatureDistribution(**found) if found else None
        if isinstance(scheduler := self.lr_schedulers(), Plateau) and not self.trainer.sanity_checking:
            scheduler.observe(self._monitored(scheduler.monitor, results))

    def _monitored(self, name: str, results: Mapping[str, Tensor]) -> float:
        """Return a metric of `monitorable` after a validation with these results."""
        if name.startswith("train/"):  # logged only at the end of the epoch, after this
            return float(self.train_terms.compute()[name.removeprefix("train/loss").removeprefix("/")])
        return float(results[name.removeprefix("val/")])

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._observe("test", batch)

    def on_test_epoch_end(self) -> None:
        self._report("test")

    def _observe(self, stage: Stage, batch: Batch) -> Outputs | None:
        if not len(batch["image"]):  # one of several processes may have no sample of a batch
            if stage == "val":
                self.val_features.skip()
            self.heads.observe(stage, None, batch)
            return None
        features = self.features(batch["image"], batch.get("scale"))
        if stage == "val":
            self.val_features.update(described(batch["image"], features))
        outputs = self.heads(features)
        self.heads.observe(stage, outputs, batch)
        return outputs

    def _report(self, stage: Stage) -> dict[str, Tensor]:
        results = self.heads.results(stage)
        losses = torch.stack([results[f"{name}_loss"] for name in self.heads.loss_names])
        results["loss"] = (losses * self.heads.weights).sum()
        self.log_dict({f"{stage}/{name}": value for name, value in results.items()}, sync_dist=False)
        return results

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        for wrap in self._wrappers.values():  # a wrapper that refuses this trainer raises before the data is read
            wrap(optimizer, self)
        if self._make_scheduler is None:
            return optimizer
        try:
            steps = optimizer_steps(self.trainer)
        except ValueError as error:
            raise error if isinstance(error, UserError) else UserError(f"trainer: {one_line(error)}") from error
        if getattr(self._make_scheduler, "keywords", {}).get("interval") == "epoch":
            require_even_epochs(self.trainer)
        batches = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        per_epoch = max(1, math.ceil(min(steps, batches)))  # max_steps may end the run within an epoch
        scheduler = self.make_scheduler(optimizer, steps, per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def check_optimizer(self) -> None:
        """Raise UserError for a value that the optimizer or the scheduler refuses, before data or a trainer exist."""
        self.make_scheduler(self.make_optimizer(), total_steps=1000, steps_per_epoch=100)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return an optimizer of this model's weights, without its wrappers."""
        lr = getattr(self._make_optimizer, "keywords", {}).get("lr")
        groups = parameter_groups(self, lr, self._lr_multipliers, self._decaying)
        try:
            return self._make_optimizer(groups)
        except UserError:
            raise
        except (TypeError, ValueError) as error:
            raise UserError(f"model.optimizer: {one_line(error)}") from error

    def make_scheduler(
        self, optimizer: torch.optim.Optimizer, total_steps: int, steps_per_epoch: int
    ) -> torch.optim.lr_scheduler.LRScheduler | None:
        """Return the schedule of an optimizer, None where it has none; UserError for values that it refuses."""
        if self._make_scheduler is None:
            return None
        try:
            return self._make_scheduler(optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        except UserError:
            raise
        except (TypeError, ValueError) as error:
            raise UserError(f"model.scheduler: {one_line(error)}") from error

    def on_train_start(self) -> None:
        self._seed = torch.initial_seed()
        if self._resumed_rng is not None:
            torch.set_rng_state(self._resumed_rng)
            self._resumed_rng = None

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed each of several processes' dropout by (seed, epoch, batch, rank), so that checkpoints need no state."""
        self.heads.start_epoch(self.current_epoch)
        if self.trainer.world_size > 1:
            words = [self._seed, self.current_epoch, batch_idx, self.global_rank]
            seed = int(np.random.SeedSequence(words).generate_state(1)[0])
            torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 0.1 ms
            if self.device.type == "cuda":
                torch.cuda.manual_seed(seed)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._resumed_rng = checkpoint["rng_state"].cpu()
        self.feature_distribution = distribution_of(checkpoint, self.description_size)
        if checkpoint["dataset_spec"].get("sha256") != self.spec.sha256:
            _forget_bests(checkpoint)
        if self.trainer.is_global_zero:  # the checkpoint has the sums of all processes in an incomplete epoch
            for name, value in checkpoint.get("train_terms", {}).items():
                ours = getattr(self.train_terms, name)
                if ours.shape == value.shape:  # otherwise its losses have other terms
                    ours.copy_(value)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["rng_state"] = torch.get_rng_state()  # so that dropout of a resumed run on a CPU continues
        reduce = self.trainer.strategy.reduce
        sums = {name: getattr(self.train_terms, name).clone() for name in ("sums", "count")}
        checkpoint["train_terms"] = {name: reduce(value, reduce_op="sum") for name, value in sums.items()}
        checkpoint["model_config"] = self.config
        checkpoint["dataset_spec"] = self.spec.to_dict()
        if self.feature_distribution is not None:
            checkpoint["feature_distribution"] = self.feature_distribution.to_dict()
        checkpoint["data_settings"] = self.trainer.datamodule.checkpoint_settings()  # type: ignore[attr-defined]


def _normalises(network: nn.Module) -> bool:
    """Return a network's `normalised_input`; raise UserError if only a network within it has one."""
    found = getattr(network, "normalised_input", None)
    inner = [type(part).__name__ for part in network.modules() if getattr(part, "normalised_input", False)]
    if found is None and inner:
        raise UserError(
            f"model.network: {type(network).__name__} contains {inner[0]}, which needs normalised images; set "
            "normalised_input = True in its class, or False if it normalises them itself"
        )
    return bool(found)


def _require_same_density(network: nn.Module, task: Task, auxiliary: str | None) -> None:
    """Raise UserError unless a network's features are those that a task reads: of each pixel, or of the image."""
    is_dense, name = bool(getattr(network, "dense", False)), type(network).__name__
    if task.dense and not is_dense:
        raise UserError(
            f"model.network: {name} returns features of the image, but {type(task).__name__} needs those of each "
            "pixel; give src.models.components.unet.UNet, or a network with dense = True"
        )
    if is_dense and not task.dense:
        raise UserError(
            f"model.network: {name} returns features of each pixel, but {type(task).__name__} needs those of the "
            "image; give task=segment, or another model"
        )
    if is_dense and auxiliary:
        raise UserError(f"model.auxiliary: {auxiliary} given, but {name} returns features of each pixel; give null")


def _range_db(spec: DatasetSpec) -> tuple[float, float]:
    """Return the lowest and highest level of a dataset's images in dB, by default DEFAULT_RANGE_DB."""
    spectral = spec.origin.spectral
    return (spectral.floor_db, spectral.ceil_db) if spectral else DEFAULT_RANGE_DB


def _complete_old_state(module: VIMHLitModule, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Add the dB range to a checkpoint without one; it was trained with the default."""
    state.setdefault(f"{prefix}range_db", torch.tensor(DEFAULT_RANGE_DB))


def _forget_bests(checkpoint: dict[str, Any]) -> None:
    """Remove the best values so far from a checkpoint: they cannot be compared with values on other data."""
    kept = {key: state for key, state in checkpoint["callbacks"].items() if not _compares(key)}
    checkpoint["callbacks"] = kept
    for state in checkpoint["lr_schedulers"]:
        if "best" in state:
            state |= {"best": math.inf, "bad_epochs": 0}


def _compares(key: str) -> bool:
    return "Checkpoint{" in key or "EarlyStopping{" in key  # the keys of Lightning's callback states
