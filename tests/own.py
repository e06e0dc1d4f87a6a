"""Code as a user writes it by docs/your_task.md, outside of src: data of images of one level each, and a task."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from src.data.datamodule import BatchDataModule
from src.data.dataset import Batch, BatchDataset
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.heads.metrics import TermMeans
from src.models.tasks.task import Outputs, ShownMetric, Stage, Task
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

SPACE = ParameterSpace([ParameterSpec(name="level", min=0, max=10, step=0.5)])


class Levels(BatchDataset):
    """Images (1, 8, 8) of noise around a level, which is the label."""

    def __init__(self, spec: DatasetSpec, count: int, seed: int):
        random = np.random.default_rng(seed)
        self.spec = spec
        self._targets = random.uniform(size=(count, 1)).astype(np.float32)
        noise = random.normal(scale=0.02, size=(count, *spec.image_shape))
        self._images = np.clip(self._targets[:, :, None, None] + noise, 0, 1).astype(np.float32)

    def __len__(self) -> int:
        return len(self._targets)

    def __getitems__(self, indices: Any) -> Batch:
        rows = np.asarray(indices)
        return {"image": torch.from_numpy(self._images[rows]), "target": torch.from_numpy(self._targets[rows])}

    def targets(self) -> np.ndarray:
        return self._targets


class LevelsDataModule(BatchDataModule):
    """Splits of several sizes; `scale` multiplies them."""

    def __init__(self, scale: int = 2, **loaders: Any):
        super().__init__(**loaders)
        self.counts = {"train": 64 * scale, "val": 16 * scale, "test": 16 * scale}
        self.settings = {"scale": scale}
        self.spec = DatasetSpec("levels", Inputs((1, 8, 8), "image", mean=(0.5,), std=(0.25,)), SPACE)

    def open_split(self, split: str) -> Levels:
        return Levels(self.spec, self.counts[split], ("train", "val", "test").index(split))


class MeanTask(Task):
    """The mean of each image: neither a parameter nor a reconstruction."""

    loss_names = ("mean",)

    def __init__(self, feature_dim: int, spec: DatasetSpec, heads: Mapping[str, Any] | None = None, balance: str = ""):
        super().__init__()
        self.layer = nn.Linear(feature_dim, 1)
        self.register_buffer("weights", torch.ones(1), persistent=False)
        self.metrics = nn.ModuleDict({stage: TermMeans(self.metric_names) for stage in ("val", "test")})

    @property
    def metric_names(self) -> list[str]:
        return ["mean_loss", "mean_mae"]

    @property
    def shown_metrics(self) -> list[ShownMetric]:
        return [ShownMetric("mean", "level", "mean_mae")]

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {"mean": self.layer(features)}

    def batch_losses(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        loss = self._errors(outputs, batch).square().mean()[None]
        return loss, loss.detach()

    def observe(self, stage: Stage, outputs: Outputs | None, batch: Batch) -> None:
        if outputs is not None:
            error = self._errors(outputs, batch)
            self.metrics[stage].update(torch.stack([error.square().mean(), error.abs().mean()]), len(error))

    def results(self, stage: Stage) -> dict[str, Tensor]:
        results = self.metrics[stage].compute()
        self.metrics[stage].reset()
        return results

    def values(self, outputs: Outputs) -> Tensor:
        return outputs["mean"]

    def _errors(self, outputs: Outputs, batch: Batch) -> Tensor:
        return outputs["mean"].float()[:, 0] - batch["image"].mean(dim=(1, 2, 3))
