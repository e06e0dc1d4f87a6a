"""Handwritten digits of 8 x 8 pixels, which the package scikit-learn contains: a classification task in seconds."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from src.data.datamodule import BatchDataModule
from src.data.dataset import Batch, BatchDataset
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError

_SPACE = ParameterSpace([ParameterSpec(name="digit", values=tuple("0123456789"))])  # type: ignore[call-arg]
_FULL_SCALE = 16.0  # the number of black dots in a cell of 4 x 4
_ORDER_SEED = 0  # of the samples, so that every run has the same splits, whatever its own seed


class ImageDataset(BatchDataset):
    """Images (n, C, H, W) uint8 and their classes (n,), in memory."""

    def __init__(self, spec: DatasetSpec, images: np.ndarray, classes: np.ndarray):
        self.spec, self.images = spec, torch.from_numpy(images)
        self._targets = spec.space.normalize(classes[:, None]).astype(np.float32)

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        rows = np.asarray(indices, np.int64)
        return {"image": self.images[rows], "target": torch.from_numpy(self._targets[rows])}

    def targets(self) -> np.ndarray:
        return self._targets


class DigitsDataModule(BatchDataModule):
    """The 1,797 digits of the optical recognition set, 80 % for training, 10 % for validation and 10 % for the test.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    Raises UserError without scikit-learn.
    """

    data_dir = "digits"

    def __init__(self, **loaders: Any):
        super().__init__(**loaders)
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise UserError("data=digits: scikit-learn is not installed; uv pip install scikit-learn") from error
        levels, classes = load_digits(return_X_y=True)
        images = np.rint(levels * (255.0 / _FULL_SCALE)).astype(np.uint8).reshape(-1, 1, 8, 8)
        order = np.random.default_rng(_ORDER_SEED).permutation(len(images))
        held_out = len(images) // 10
        rows = dict(zip(("test", "val", "train"), np.split(order, [held_out, 2 * held_out]), strict=True))
        training = images[rows["train"]] / 255.0
        self.spec = DatasetSpec(
            name="digits",
            inputs=Inputs((1, 8, 8), "image", mean=(float(training.mean()),), std=(float(training.std()),)),
            targets=_SPACE,
            counts={split: len(rows[split]) for split in ("train", "val", "test")},
            sha256={split: hashlib.sha256(images[at].tobytes()).hexdigest() for split, at in rows.items()},
        )
        self.settings = {"seed": self.seed, "eval_batch_size": self.eval_batch_size}
        self._samples = {split: (images[at], classes[at]) for split, at in rows.items()}

    def open_split(self, split: str) -> ImageDataset:
        return ImageDataset(self.spec, *self._samples[split])

    def checkpoint_settings(self) -> dict[str, Any]:
        return {**self.settings, "format": "digits"}  # checkpoints name it without its path
