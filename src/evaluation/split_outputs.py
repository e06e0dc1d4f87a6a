"""What a model or an ensemble answers to the samples of a split."""

from typing import NamedTuple

import numpy as np
import torch

from src.data.dataset import BatchDataset, load_batch
from src.models.ensemble import Predictor, answers
from src.models.heads.multi_head import Estimates
from src.models.tasks.parameters import parameters_of
from src.models.vimh_lit_module import VIMHLitModule

_BATCH = 512  # sounds that are predicted at once unless a datamodule sets the number


class SplitOutputs(NamedTuple):
    """What a model returns for a split's n sounds."""

    estimates: Estimates  # arrays (n, P) float64 in physical units
    levels: np.ndarray  # classes (n, P) int64
    distances: np.ndarray  # of the features (n,), see src.models.feature_distribution; NaN if unknown
    probabilities: dict[str, np.ndarray]  # (n, K) float32 of the categories of each categorical parameter
    energies: dict[str, np.ndarray]  # (n,) float32 of each head with logits


def run_split(
    model: Predictor, dataset: BatchDataset, batch_size: int = _BATCH, count: int | None = None
) -> SplitOutputs:
    """Return a model's outputs for a dataset's first `count` samples, or all."""
    count = len(dataset) if count is None else min(count, len(dataset))
    found = np.empty((len(Estimates._fields), count, len(parameters_of(model).space)))
    levels = np.empty(found.shape[1:], np.int64)
    distances = np.full(count, np.nan)
    probabilities: dict[str, np.ndarray] = {}
    energies: dict[str, np.ndarray] = {}
    weights = next(model.parameters())
    model.eval()
    for batch_rows in dataset.batches_by_shape(batch_size):
        rows = batch_rows[batch_rows < count]
        if not len(rows):
            continue
        batch = load_batch(dataset, rows, weights)
        with torch.inference_mode():
            answer = answers(model, batch["image"], batch.get("scale"))
        found[:, rows] = torch.stack(answer.estimates).cpu().numpy()
        levels[rows] = answer.levels.cpu().numpy()
        distances[rows] = answer.distances.numpy()
        for name, likely in answer.probabilities.items():
            whole = probabilities.setdefault(name, np.empty((count, likely.shape[1]), np.float32))
            whole[rows] = likely.cpu().numpy()
        for name, energy in answer.energies.items():
            energies.setdefault(name, np.empty(count, np.float32))[rows] = energy.cpu().numpy()
    return SplitOutputs(Estimates(*found), levels, distances, probabilities, energies)


def predict_split(
    model: Predictor, dataset: BatchDataset, batch_size: int = _BATCH, count: int | None = None
) -> tuple[Estimates, np.ndarray]:
    """Return the estimates and the classes of `run_split`."""
    outputs = run_split(model, dataset, batch_size, count)
    return outputs.estimates, outputs.levels


def predict_values(model: VIMHLitModule, dataset: BatchDataset, count: int) -> np.ndarray:
    """Return predictions (n, P) in physical units for a dataset's first `count` samples."""
    return predict_split(model, dataset, count=count)[0].values
