"""How well a model that learns features reconstructs the images of a test."""

import numpy as np
import torch

from src.data.dataset import BatchDataset, images_to_float, load_batch
from src.models.vimh_lit_module import VIMHLitModule

_BATCH = 512


def reconstruction_errors(
    model: VIMHLitModule, train: BatchDataset, test: BatchDataset
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean absolute error (n,) of each test image, and that of the mean training image, in levels."""
    sums = torch.zeros(test.spec.image_shape, dtype=torch.float64)
    for rows in train.batches_by_shape(_BATCH):
        sums += images_to_float(train.__getitems__(rows)["image"]).double().sum(dim=0)
    mean = (sums / len(train)).float()
    errors, baseline = np.empty(len(test)), np.empty(len(test))
    weights = next(model.parameters())
    model.eval()
    for rows in test.batches_by_shape(_BATCH):
        batch = load_batch(test, rows, weights)
        with torch.inference_mode():
            images = model.values(batch["image"], batch.get("scale"))
        errors[rows] = (images - batch["image"]).abs().mean(dim=(1, 2, 3)).cpu().numpy()
        baseline[rows] = (mean.to(images) - batch["image"]).abs().mean(dim=(1, 2, 3)).cpu().numpy()
    return errors, baseline
