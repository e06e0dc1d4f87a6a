"""A batch of samples, and the datasets that serve batches."""

from collections.abc import Callable, Iterator, Sequence
from typing import Required, TypedDict, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from src.data.spec import DatasetSpec


class Batch(TypedDict, total=False):
    """The samples of one step; a dataset without labels, for example, serves batches without targets."""

    image: Required[Tensor]  # (B, C, H, W) uint8, on the device float32 in the value range of `Inputs`
    target: Tensor  # (B, P) float32 in [0, 1]: the parameters, each on its scale
    scale: Tensor  # (B, 2) float32: the levels in dB of 0 and 1 in the image
    map: Tensor  # (B, H, W) uint8: the class of each pixel, an index of `DatasetSpec.map_classes`
    index: Tensor  # (B,) int64: the samples' numbers in their split, in training with augmentation, and only before it
    other_target: Tensor  # (B, P) float32 in [0, 1]: of the samples with which these are mixed
    share: Tensor  # (B,) float32 in [0, 1]: of the samples themselves, where they are mixed


def map_tensors(function: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """Return a batch of the results of a function for each tensor."""
    tensors = cast(dict[str, Tensor], batch)
    return cast(Batch, {name: function(values) for name, values in tensors.items()})


class BatchDataset(Dataset):
    """One split of a dataset, which serves whole batches.

    `quantised` says whether its targets were rounded to bytes, `labelled` whether it has targets, `ragged` whether its
    images have several shapes. Images of one batch have one shape.
    """

    spec: DatasetSpec
    quantised = False
    ragged = False
    labelled = True

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """Return a batch, on the CPU."""
        raise NotImplementedError

    def targets(self) -> np.ndarray:
        """Return all targets, (n, P) float32 in [0, 1]."""
        raise NotImplementedError

    def maps_by_rule(self) -> tuple[np.ndarray, str] | None:
        """Return maps (n, H, W) uint8 by a rule that knows how the images were made, and what it is; None without one.

        A test shows its results beside those of a model.
        """
        return None

    def batches_by_shape(
        self, batch_size: int, seed: int | np.random.SeedSequence | None = None
    ) -> Iterator[np.ndarray]:
        """Yield arrays of indices whose images share a shape, shuffled if a seed is given."""
        count = len(self)
        order = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
        for start in range(0, count, batch_size):
            yield order[start : start + batch_size]


def load_batch(dataset: BatchDataset, rows: Sequence[int] | np.ndarray, weights: Tensor) -> Batch:
    """Return a batch as a model takes it: with images as floats, on the device and in the precision of its weights."""
    batch = dataset.__getitems__(rows)
    batch["image"] = images_to_float(batch["image"])
    return map_tensors(lambda values: values.to(weights.device, weights.dtype), batch)


def images_to_float(images: Tensor) -> Tensor:
    """Map uint8 levels to [0, 1] float32, the range that models see."""
    return images.to(torch.float32).mul_(1.0 / 255.0) if images.dtype == torch.uint8 else images
