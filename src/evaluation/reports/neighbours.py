"""What one can do without training: give each sound the labels of the training image that is most like its own."""

import numpy as np
import torch

from src.data.dataset import BatchDataset
from src.parameters.space import ParameterSpace
from src.utils.spaced import evenly_spaced

MOST_COMPARED = 300  # test samples, evenly spaced: enough for two digits of the error
_MOST_VALUES = 2**27  # of all training images that are compared: 128 MB
_BLOCK = 1024


def nearest_errors(
    space: ParameterSpace, test: BatchDataset, train: BatchDataset
) -> tuple[np.ndarray, int, int] | None:
    """Return the errors (P,) of the nearest training image's labels, in units, or the shares of wrong categories.

    Also return how many test and training images were compared; None if the images have several shapes. Images are
    compared by the Euclidean distance of their pixels.
    """
    if test.ragged or train.ragged:
        return None
    pixels = int(np.prod(test.spec.image_shape))
    ours, theirs = evenly_spaced(len(test), MOST_COMPARED), evenly_spaced(len(train), max(1, _MOST_VALUES // pixels))
    nearest = theirs[_nearest(_pixels(test, ours), train, theirs)]
    truth = test.spec.space.denormalize(test.targets()[ours])
    found = train.spec.space.denormalize(train.targets()[nearest])
    wrong = space.to_class(found) != space.to_class(truth)
    nominal = [spec.kind == "categorical" for spec in space]
    return np.where(nominal, wrong, np.abs(found - truth)).mean(axis=0), len(ours), len(theirs)


def _pixels(dataset: BatchDataset, rows: np.ndarray) -> torch.Tensor:
    return dataset.__getitems__(rows)["image"].flatten(1).to(torch.float32)


def _nearest(images: torch.Tensor, train: BatchDataset, rows: np.ndarray) -> np.ndarray:
    """Return for each image (n, D) the index into `rows` of the training image with the least distance."""
    least = torch.full((len(images),), torch.inf)
    best = torch.zeros(len(images), dtype=torch.int64)
    for start in range(0, len(rows), _BLOCK):
        others = _pixels(train, rows[start : start + _BLOCK])
        distance = others.square().sum(dim=1) - 2.0 * images @ others.T  # without the part that all share
        lowest, at = distance.min(dim=1)
        closer = lowest < least
        least[closer], best[closer] = lowest[closer], start + at[closer]
    return best.numpy()
