"""A model's errors on the test split, each beside a floor and a baseline."""

import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from lightning import Trainer

from src.data.spec import DatasetSpec
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset, images_to_float
from src.evaluation.rerender import ImageError, image_error, rendering_source
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

RERENDERED = 256  # test sounds that are rendered again: enough for two digits, in about a second


@dataclass(frozen=True)
class HeadRow:
    """One parameter's figures, errors in its own unit."""

    name: str
    unit: str
    mae: float
    floor: float  # MAE of the true values rounded to a record's byte
    baseline: float  # MAE of predicting the training split's mean
    accuracy: float
    within_one_step: float

    @property
    def share(self) -> float:
        return self.mae / self.baseline if self.baseline else float("nan")


@dataclass(frozen=True)
class Evaluation:
    """All of a test's figures."""

    dataset: str
    num_samples: int
    metrics: dict[str, float]  # test/..., as logged
    rows: tuple[HeadRow, ...]
    image_error: ImageError | None

    def to_json(self) -> bytes:
        """Return the contents of a test_results.json."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def evaluate(model: VIMHLitModule, datamodule: VIMHDataModule, trainer: Trainer) -> Evaluation:
    """Test a model; the only place that reads the test split."""
    logged = trainer.test(model, datamodule=datamodule, verbose=False)[0]
    spec, test = datamodule.spec, datamodule.dataset("test")
    space = spec.space
    truth = space.denormalize(test.targets())
    floor = np.abs(space.from_byte(space.to_byte(truth)) - truth).mean(axis=0)
    mean = space.denormalize(datamodule.dataset("train").targets()).mean(axis=0)
    baseline = np.abs(mean - truth).mean(axis=0)
    rows = tuple(
        HeadRow(
            name=one.name,
            unit=one.unit,
            mae=logged[f"test/{one.name}_mae"],
            floor=float(floor[at]),
            baseline=float(baseline[at]),
            accuracy=logged[f"test/{one.name}_acc"],
            within_one_step=logged[f"test/{one.name}_acc1"],
        )
        for at, one in enumerate(space)
    )
    return Evaluation(spec.name, len(test), logged, rows, _image_error(model, datamodule, test, truth, mean))


def require_same_task(trained: DatasetSpec, given: DatasetSpec) -> None:
    """UserError unless a dataset has the images and parameters that a model was trained on."""
    if given.image_shape != trained.image_shape:
        raise UserError(
            f"{given.name}: images (C, H, W) {given.image_shape}, the model was trained on {trained.image_shape}; "
            "give a dataset made with the same spectral settings"
        )
    for ours, theirs in zip(trained.space, given.space, strict=False):
        if (ours.name, ours.min, ours.max, ours.scale) != (theirs.name, theirs.min, theirs.max, theirs.scale):
            raise UserError(
                f"{given.name}: {theirs.name} {theirs.min:g}..{theirs.max:g} {theirs.scale}, the model was trained on "
                f"{ours.name} {ours.min:g}..{ours.max:g} {ours.scale}; give a dataset of the same parameters"
            )
    if given.space.names != trained.space.names:
        raise UserError(f"{given.name}: parameters {given.space.names}, the model knows {trained.space.names}")


def predict_values(model: VIMHLitModule, dataset: VIMHDataset, count: int) -> np.ndarray:
    """Return predictions (n, P) in physical units for a dataset's first `count` samples."""
    count = min(count, len(dataset))
    found = np.empty((count, len(model.spec.space)))
    device = next(model.parameters()).device
    model.eval()
    for rows in dataset.batches_by_shape(len(dataset)):
        rows = [row for row in rows if row < count]
        if not rows:
            continue
        batch = dataset.__getitems__(rows)
        with torch.inference_mode():
            values = model.values(images_to_float(batch["image"]).to(device), batch["scale"].to(device))
        found[rows] = values.cpu().numpy()
    return found


def _image_error(
    model: VIMHLitModule, datamodule: VIMHDataModule, test: VIMHDataset, truth: np.ndarray, mean: np.ndarray
) -> ImageError | None:
    spec, trust = datamodule.spec, datamodule.trust
    if rendering_source(spec, trust) is None:
        return None
    predicted = predict_values(model, test, RERENDERED)
    batch = test.__getitems__(range(len(predicted)))
    images, scale = batch["image"].numpy(), batch["scale"].numpy()
    return image_error(spec, images, scale, predicted, truth[: len(predicted)], mean, trust)
