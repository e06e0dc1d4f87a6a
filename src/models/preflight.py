"""Quick checks before training: labels, heads without measurable effect, a finite first loss."""

import logging

import numpy as np
import torch

from src.data.overlap import count_shared
from src.data.sensitivity import describe_blind
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import images_to_float
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

log = logging.getLogger(__name__)


def preflight(datamodule: VIMHDataModule, model: VIMHLitModule, allow_blind: bool = False) -> None:
    """Raise UserError with the head or the file at fault and the remedy."""
    datamodule.setup("test")  # checks the test split's headers before training
    dataset = datamodule.dataset("train")
    space = datamodule.spec.space
    trained = {name for name, weight in zip(space.names, model.heads.weights.tolist(), strict=True) if weight}
    targets = dataset.targets()
    shared, compared = count_shared(dataset, datamodule.dataset("test"), targets)
    if shared:
        log.warning(
            "%s: %d of %d test records are also training records, so the test error is too low; split it so that no "
            "sound is in both",
            *(datamodule.data_dir, shared, compared),
        )
    if len(targets) < 2:
        raise UserError("the dataset has one training sample; give a larger dataset.size")
    for name, column in zip(space.names, targets.T, strict=True):
        if name in trained and np.ptp(column) == 0:
            raise UserError(
                f"{name}: the same label in all {len(column)} training sounds, so there is nothing to learn; "
                f"make it constant in the synth config, or give model.heads.{name}.weight=0"
            )
    blind = [row for row in datamodule.spec.sensitivity if row["blind"] and row["name"] in trained]
    has_range = model.auxiliary is not None  # the dB range contains what per-sample scaling removes from the image
    if has_range and (datamodule.spec.spectral or {}).get("image_scaling") != "per_sample":
        has_range = False
        log.warning("model.auxiliary: every image has the same dB range; spectral.image_scaling=per_sample varies it")
    if blind and not has_range and not allow_blind:
        raise UserError("; ".join(map(describe_blind, blind)) + "; preflight.allow_blind=true trains it anyway")
    rows = np.arange(min(len(dataset), datamodule.batch_size))
    if dataset.records.offsets is not None:
        rows = next(dataset.batches_by_shape(datamodule.batch_size))
    batch = dataset.__getitems__(rows)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        outputs = model(images_to_float(batch["image"]).to(model.device), batch["scale"].to(model.device))
        losses, _ = model.heads.losses(outputs, batch["target"].to(model.device))
    model.train(was_training)
    for name, loss in zip(space.names, losses.tolist(), strict=True):
        if not np.isfinite(loss):
            raise UserError(f"{name}: the first loss is {loss}; check the data and model.heads.{name}")
