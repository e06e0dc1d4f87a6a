"""The features of test sounds for TensorBoard's projector, which shows them in two or three dimensions."""

from typing import cast

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch.nn import functional

from src.callbacks.base import ScheduledCallback
from src.callbacks.tensorboard_figures import tensorboard_writer
from src.data.datamodule import BatchDataModule
from src.data.dataset import load_batch
from src.models.feature_distribution import of_image
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

_BATCH = 512
_THUMBNAIL = 24  # pixels: TensorBoard reads all thumbnails from one picture of at most 8192 x 8192


class FeatureProjector(ScheduledCallback):
    """Writes the features of the first `max_samples` test sounds after the test, with their parameters and images.

    It writes nothing without TensorBoard, nor with fsdp, where no process holds the whole network.
    """

    rank_zero = True

    def __init__(self, max_samples: int = 1000, on_error: str = "warn"):
        super().__init__(on_error=on_error)
        self.max_samples = max_samples
        if not isinstance(max_samples, int) or not 1 <= max_samples <= 10_000:
            raise UserError(f"FeatureProjector.max_samples: {max_samples!r} given; give a number from 1 to 10000")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        writer, module = tensorboard_writer(trainer), cast(VIMHLitModule, pl_module)
        if writer is None or isinstance(trainer.strategy, FSDPStrategy):
            return
        dataset = cast(BatchDataModule, trainer.datamodule).dataset("test")  # type: ignore[attr-defined]
        if dataset.ragged:
            raise ValueError("the images of the test split have several shapes")
        count = min(self.max_samples, len(dataset))
        features, thumbnails = [], []
        for start in range(0, count, _BATCH):
            batch = load_batch(dataset, range(start, min(start + _BATCH, count)), next(module.parameters()))
            with torch.inference_mode():
                features.append(of_image(module.features(batch["image"], batch.get("scale")).float()).cpu())
            upright = batch["image"][:, :1].flip(2).float().cpu()  # the lowest frequency at the bottom
            thumbnails.append(functional.interpolate(upright, (_THUMBNAIL, _THUMBNAIL)))  # they must be square
        columns, rows = ["sound"], [[f"test {row}"] for row in range(count)]
        if dataset.labelled and module.spec.targets is not None:
            columns += module.spec.space.names
            for row, values in zip(rows, module.spec.space.denormalize(dataset.targets()[:count]), strict=True):
                pairs = zip(module.spec.space, values.tolist(), strict=True)
                row += [parameter.format(value) for parameter, value in pairs]
        metadata = rows if len(columns) > 1 else [row[0] for row in rows]
        writer.add_embedding(
            torch.cat(features),
            metadata,
            torch.cat(thumbnails).clamp(0.0, 1.0),
            trainer.global_step,
            "test_features",
            columns if len(columns) > 1 else None,
        )
