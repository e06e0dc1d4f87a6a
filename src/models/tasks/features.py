"""Learn features from images alone: a linear layer reconstructs each image from its features."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from src.data.dataset import Batch
from src.data.spec import DatasetSpec
from src.models.heads.metrics import TermMeans
from src.models.tasks.task import Outputs, ShownMetric, Stage, Task
from src.utils.errors import UserError


class FeaturesTask(Task):
    """An autoencoder whose decoder is linear: features must hold what a linear map needs to draw the image.

    The loss is the mean squared error of the normalised pixels. A linear network learns the span of the first principal
    components of the images. It needs no labels; the keys `heads` and `balance` of the model's config have no effect.

    Source: Baldi and Hornik, Neural networks and principal component analysis, Neural Networks 2(1), 1989.
    """

    reconstructs = True
    uses_labels = False
    loss_names = ("image",)
    scale: Tensor
    offset: Tensor

    def __init__(self, feature_dim: int, spec: DatasetSpec, heads: Mapping[str, Any] | None = None, balance: str = ""):
        super().__init__()
        self.image_shape = spec.inputs.shape
        self.decoder = nn.Linear(feature_dim, math.prod(self.image_shape))
        self.register_buffer("weights", torch.ones(1), persistent=False)
        for name, factor in zip(("scale", "offset"), spec.inputs.scale_and_offset(), strict=True):
            self.register_buffer(name, factor, persistent=False)
        self.metrics = nn.ModuleDict({stage: TermMeans(["image_loss", "image_mae"]) for stage in ("val", "test")})

    @property
    def metric_names(self) -> list[str]:
        return ["image_loss", "image_mae"]

    @property
    def shown_metrics(self) -> list[ShownMetric]:
        return [ShownMetric("image", "level", "image_mae")]

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Map features (B, D) to normalised images, image -> (B, C * H * W)."""
        return {"image": self.decoder(features)}

    def batch_losses(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        loss = self._errors(outputs, batch).square().mean()[None]
        return loss, loss.detach()

    def observe(self, stage: Stage, outputs: Outputs | None, batch: Batch) -> None:
        if outputs is None:
            return
        error = self._errors(outputs, batch)
        absolute = (error / self.scale).abs()  # in levels of the image
        self._means(stage).update(torch.stack([error.square().mean(), absolute.mean()]), len(error))

    def results(self, stage: Stage) -> dict[str, Tensor]:
        means = self._means(stage)
        results = means.compute()
        means.reset()
        return results

    def values(self, outputs: Outputs) -> Tensor:
        """Return reconstructed images (B, C, H, W) in the value range of the dataset."""
        return (self._images(outputs) - self.offset) / self.scale

    def _images(self, outputs: Outputs) -> Tensor:
        return outputs["image"].float().unflatten(1, self.image_shape)

    def _errors(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the differences (B, C, H, W) of reconstructed and true images, both normalised."""
        if batch["image"].shape[1:] != self.image_shape:
            raise UserError(
                f"task=features: an image of shape {tuple(batch['image'].shape[1:])} given, but {self.image_shape} is "
                "needed; use a dataset whose images have one shape"
            )
        return self._images(outputs) - (self.scale * batch["image"] + self.offset)

    def _means(self, stage: Stage) -> TermMeans:
        means = self.metrics[stage]
        assert isinstance(means, TermMeans)
        return means
