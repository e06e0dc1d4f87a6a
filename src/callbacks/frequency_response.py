"""Magnitude spectra of target and predicted sounds of a validation."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from lightning import Trainer
from matplotlib.figure import Figure
from scipy.signal import welch

from src.callbacks.showing import show_figure
from src.callbacks.sound_callback import Arrays, SoundCallback
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

_WINDOW_SECONDS = 0.128  # 8 Hz between bins: partials of 50 Hz are separate
_FLOOR = 1e-12  # -120 dB


class FrequencyResponseCallback(SoundCallback):
    """Plots the magnitude response of target and predicted sounds in dB, at the synth's sample rate.

    `frequency_range` is (lowest, highest) in Hz; the axis ends at the Nyquist frequency if that is lower.
    """

    def __init__(
        self,
        log_every_n_epochs: int = 10,
        frequency_range: Sequence[float] = (20.0, 20_000.0),
        max_samples_per_batch: int = 4,
        directory: str | Path = "sounds",
        trust: Iterable[str] = (),
        on_error: str = "warn",
    ):
        super().__init__(log_every_n_epochs, "epochs", max_samples_per_batch, directory, trust=trust, on_error=on_error)
        if len(frequency_range) != 2 or not 0 < frequency_range[0] < frequency_range[1]:
            given = list(frequency_range)
            raise UserError(f"FrequencyResponseCallback.frequency_range: {given} given; give [lowest, highest] in Hz")
        self.frequency_range = frequency_range[0], frequency_range[1]

    def show(self, trainer: Trainer, module: VIMHLitModule, collected: Arrays) -> None:
        predicted, target, rate = self.render(module, collected)
        low, high = self.frequency_range
        if low >= rate / 2:
            raise UserError(f"frequency_range begins at {low:g} Hz, but the sounds end at {rate / 2:g} Hz; lower it")
        frequencies, true_levels = magnitude_response(target.numpy(), rate)
        _, predicted_levels = magnitude_response(predicted.numpy(), rate)
        figure = response_figure(frequencies, true_levels, predicted_levels, (low, min(high, rate / 2)))
        show_figure(trainer, self.directory, "responses", figure)


def magnitude_response(sounds: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies (F,) in Hz and mean power spectra (n, F) in dB of sounds (n, T); a full-scale sine is -3 dB.

    Source: Welch, The use of fast Fourier transform for the estimation of power spectra, IEEE Transactions on Audio and
    Electroacoustics 15(2), 1967.
    """
    length = min(round(_WINDOW_SECONDS * sample_rate), sounds.shape[1])
    frequencies, power = welch(sounds, sample_rate, nperseg=length, scaling="spectrum", detrend=False)
    return frequencies, 10 * np.log10(power + _FLOOR)


def response_figure(
    frequencies: np.ndarray, target: np.ndarray, predicted: np.ndarray, limits: tuple[float, float]
) -> Figure:
    """Plot a panel for each pair of spectra (n, F) in dB at frequencies (F,) in Hz."""
    count = len(target)
    figure = Figure(figsize=(7.0, 2.2 * count), layout="constrained")
    axes = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
    for axis, true_levels, predicted_levels in zip(axes, target, predicted, strict=True):
        axis.plot(frequencies[1:], true_levels[1:], linewidth=1, label="target")  # a log axis has no 0 Hz
        axis.plot(frequencies[1:], predicted_levels[1:], linewidth=1, label="prediction")
        axis.set(xscale="log", xlim=limits, ylabel="dB")
    axes[0].legend()
    axes[-1].set_xlabel("frequency (Hz)")
    return figure
