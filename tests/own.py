"""Code as a user writes it by docs/your_task.md, outside of src: a datamodule of images of one level each."""

from typing import Any

import numpy as np
import torch

from src.data.datamodule import BatchDataModule
from src.data.dataset import Batch, BatchDataset
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
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
