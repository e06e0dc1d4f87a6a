"""What is checked in a second, before hours are spent: labels, blind heads, a finite first loss."""

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
    """UserError names the head, or the file, at fault and the remedy."""
    datamodule.setup("test")  # its headers are checked before the training, not after it
    dataset = datamodule.dataset("train")
    space = datamodule.spec.space
    trained = {name for name, weight in zip(space.names, model.heads.weights.tolist(), strict=True) if weight}
    targets = dataset.targets()
    shared, looked_at = count_shared(dataset, datamodule.dataset("test"), targets)
    if shared:
        log.warning(
            "%s: %d of %d test records are also training records, so the test error is too low; split it so that no "
            "sound is in both",
            *(datamodule.data_dir, shared, looked_at),
        )
    if len(targets) < 2:
        raise UserError("the dataset has one training sample; give a larger dataset.size")
    for name, column in zip(space.names, targets.T, strict=True):
        if name in trained and np.ptp(column) == 0:
            raise UserError(
                f"{name}: the same label in all {len(column)} training samples, so there is nothing to learn; "
                f"fix it in the synth config, or weigh it 0 in model.heads.{name}.weight"
            )
    blind = [row for row in datamodule.spec.sensitivity if row["blind"] and row["name"] in trained]
    told = model.auxiliary is not None  # the dB range tells what scaling by image has taken out
    if told and (datamodule.spec.spectral or {}).get("image_scaling") != "per_sample":
        told = False
        log.warning("model.auxiliary: every image has the same dB range; spectral.image_scaling=per_sample varies it")
    if blind and not told and not allow_blind:
        raise UserError("; ".join(map(describe_blind, blind)) + "; preflight.allow_blind=true trains it all the same")
    rows = range(min(len(dataset), datamodule.batch_size))
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
            raise UserError(f"{name}: the first loss is {loss}; look at the data and at model.heads.{name}")
