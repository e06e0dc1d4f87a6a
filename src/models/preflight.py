"""Quick checks before training: labels, heads without measurable effect, a finite first loss."""

import logging

import numpy as np
import torch

from src.data.datamodule import BatchDataModule
from src.data.dataset import BatchDataset, load_batch
from src.data.overlap import count_shared
from src.data.sensitivity import describe_blind
from src.models.augmentable import require_augmentable
from src.models.tasks.parameters import parameters_of, predicts_parameters
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

log = logging.getLogger(__name__)


def preflight(datamodule: BatchDataModule, model: VIMHLitModule, allow_blind: bool = False) -> None:
    """Raise UserError with the head or the file at fault and the remedy."""
    datamodule.setup("test")  # checks the test split's headers before training
    dataset = datamodule.dataset("train")
    if len(dataset) < 2:
        raise UserError("the dataset has one training sample; give a larger dataset.size")
    if datamodule.spec.targets is not None and dataset.labelled:
        _warn_of_shared_records(datamodule, dataset)
    if datamodule.augmentation is not None:
        datamodule.augmentation = require_augmentable(
            datamodule.augmentation, datamodule.spec, model.heads, datamodule.trust
        )
    if predicts_parameters(model) and dataset.labelled:
        _check_labels(datamodule, dataset, model, allow_blind)
    rows = next(dataset.batches_by_shape(datamodule.batch_size))
    model.heads.prepare(datamodule.trust)
    batch = load_batch(dataset, rows, next(model.parameters()))
    low, high = datamodule.spec.inputs.value_range
    least, most = batch["image"].min().item(), batch["image"].max().item()
    if not low <= least <= most <= high:
        raise UserError(
            f"{datamodule.spec.name}: images hold values from {least:.4g} to {most:.4g}, but its spec states "
            f"{low:g} to {high:g}; correct inputs.value_range, mean and std"
        )
    was_training = model.training
    model.eval()
    with torch.no_grad():
        losses, _ = model.heads.batch_losses(model(batch["image"], batch.get("scale")), batch)
    model.train(was_training)
    for name, loss in zip(model.heads.loss_names, losses.tolist(), strict=True):
        if not np.isfinite(loss):
            raise UserError(f"{name}: the first loss is {loss}; check the data and model.heads.{name}")


def _warn_of_shared_records(datamodule: BatchDataModule, train: BatchDataset) -> None:
    shared, compared = count_shared(train, datamodule.dataset("test"), train.targets())
    if shared:
        log.warning(
            "%s: %d of %d test records are also training records, so the test error is too low; split it so that no "
            "sound is in both",
            *(datamodule.data_dir, shared, compared),
        )


def _check_labels(datamodule: BatchDataModule, dataset: BatchDataset, model: VIMHLitModule, allow_blind: bool) -> None:
    """Raise UserError for a trained head whose label is constant or has no measurable effect on the image."""
    heads, origin = parameters_of(model), datamodule.spec.origin
    trained = [name for name, is_trained in zip(heads.space.names, heads.trained.tolist(), strict=True) if is_trained]
    targets = dataset.targets()
    for name, column in zip(heads.space.names, targets.T, strict=True):
        if name in trained and np.ptp(column) == 0:
            raise UserError(
                f"{name}: the same label in all {len(column)} training sounds, so there is nothing to learn; "
                f"make it constant in the synth config, or give model.heads.{name}.weight=0"
            )
    blind = [row for row in origin.sensitivity if row.blind and row.name in trained]
    has_range = model.auxiliary is not None  # the dB range contains what per-sample scaling removes from the image
    if has_range and (origin.spectral is None or origin.spectral.image_scaling != "per_sample"):
        has_range = False
        log.warning("model.auxiliary: every image has the same dB range; spectral.image_scaling=per_sample varies it")
    if blind and not has_range and not allow_blind:
        raise UserError("; ".join(map(describe_blind, blind)) + "; preflight.allow_blind=true trains it anyway")
