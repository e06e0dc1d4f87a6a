"""Spectral images of target and prediction of a validation, and their difference."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from lightning import Trainer
from matplotlib.figure import Figure

from src.callbacks.showing import show_figure
from src.callbacks.sound_callback import Arrays, SoundCallback
from src.data.dataset import Batch
from src.models.tasks.parameters import predicts_parameters
from src.models.tasks.task import NO_PARAMETERS, Outputs
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.decibels import to_decibels
from src.utils.errors import UserError


class SpectrogramLoggingCallback(SoundCallback):
    """Draws the first channel of the dataset's image, of the image of the predicted sound, and prediction - target.

    The predicted image is that of the rendered sound, without rounding to bytes, or the output of a task that
    reconstructs images. With the dB ranges of the images, colours are dB; otherwise they are levels of the images.
    """

    def __init__(
        self,
        log_every_n_steps: int = 1000,
        max_samples_per_batch: int = 4,
        directory: str | Path = "sounds",
        trust: Iterable[str] = (),
        on_error: str = "warn",
    ):
        super().__init__(log_every_n_steps, "steps", max_samples_per_batch, directory, trust=trust, on_error=on_error)

    def collect(self, module: VIMHLitModule, outputs: Outputs, batch: Batch) -> Arrays:
        if not (module.heads.reconstructs or predicts_parameters(module)):
            raise UserError(NO_PARAMETERS)
        tensors = {"image": batch["image"], "predicted": module.heads.values(outputs)}
        if "scale" in batch:
            tensors["scale"] = batch["scale"]
        return {name: values.float().cpu().numpy() for name, values in tensors.items()}

    def show(self, trainer: Trainer, module: VIMHLitModule, collected: Arrays) -> None:
        target, predicted, scale = collected["image"], collected["predicted"], collected.get("scale")
        predicted_scale, unit = scale, "level"
        if not module.heads.reconstructs:
            predicted, predicted_scale = self.source(module).float_images(predicted)
        if scale is not None and predicted_scale is not None and (scale[:, 1] > scale[:, 0]).all():  # else not stated
            target, predicted, unit = to_decibels(target, scale), to_decibels(predicted, predicted_scale), "dB"
        figure = spectrogram_figure(target[:, 0], predicted[:, 0], unit)
        show_figure(trainer, self.directory, "spectrograms", figure)


def spectrogram_figure(target: np.ndarray, predicted: np.ndarray, unit: str) -> Figure:
    """Plot a row for each pair of images (n, H, W): target, prediction and, centred on 0, their difference."""
    figure = Figure(figsize=(9.0, 2.0 * len(target) + 0.6), layout="constrained")
    axes = figure.subplots(len(target), 3, squeeze=False, sharex=True, sharey=True)
    difference = predicted - target
    largest = max(float(np.abs(difference).max()), 1e-6)  # an empty range has no colours
    levels = {"cmap": "magma", "vmin": min(target.min(), predicted.min()), "vmax": max(target.max(), predicted.max())}
    signed = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    for column, (images, colours) in enumerate(((target, levels), (predicted, levels), (difference, signed))):
        for axis, image in zip(axes[:, column], images, strict=True):
            drawn = axis.imshow(image, origin="lower", aspect="auto", **colours)
        if column:  # target and prediction have the same colours
            figure.colorbar(drawn, ax=axes[:, column], label=unit, aspect=40)
    for axis, title in zip(axes[0], ("target", "prediction", "prediction - target"), strict=True):
        axis.set_title(title)
    for axis in axes[:, 0]:
        axis.set_ylabel("frequency row")
    for axis in axes[-1]:
        axis.set_xlabel("frame")
    return figure
