"""The best, the median and the worst sound of an audio comparison: WAV files, a picture and a JSON file of each."""

import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from src.evaluation.audio import EXACT, MEAN, ROUNDED, AudioComparison
from src.evaluation.confusion import category_name
from src.evaluation.metrics.clips import samples
from src.evaluation.plots import save_figure
from src.parameters.spec import ParameterSpec
from src.spectral.audio_file import write_clip
from src.spectral.power import PowerSpectrogram
from src.utils.files import write_atomic
from src.utils.table import plain

RANKED_BY = "lsd"  # it hears level, timbre and weak partials; its target's spectrum is the scale

_NOT_HEARD = (EXACT, ROUNDED, MEAN)  # the first two cannot be told from the truth, the last is one sound for all
_RANGE_DB = 80.0
_DIFFERENCE_DB = 20.0  # where the colours of a difference end
_SMALLEST_POWER = 1e-10


def write_samples(comparison: AudioComparison, directory: Path) -> None:
    """Write the sounds that `ranked` names to `directory`, each as WAV files, a PNG picture and a JSON file."""
    source = comparison.source
    rate = source.front_end.sample_rate
    heard = [name for name in comparison.candidates if name not in _NOT_HEARD]
    for rank, clip in ranked(comparison).items():
        sounds = {"true": source.sounds(comparison.truth[clip : clip + 1])[0]}
        for name in heard:
            sounds[name] = source.sounds(comparison.candidates[name][clip : clip + 1])[0]
        for name, sound in sounds.items():
            write_clip(directory / f"{rank}_{name.replace(' ', '_')}.wav", sound, rate)
        save_figure(spectrogram_figure(sounds, rate, f"{rank}: test sound {clip}"), directory / f"{rank}.png")
        content = json.dumps(describe(comparison, clip), indent=2) + "\n"
        write_atomic(directory / f"{rank}.json", content.encode())


def ranked(comparison: AudioComparison) -> dict[str, int]:
    """Return the rows of the sounds whose first candidate, the prediction, is the best, the median and the worst."""
    first = next(iter(comparison.candidates))
    order = np.argsort(comparison.metrics[first][RANKED_BY], kind="stable")
    return {"best": int(order[0]), "median": int(order[len(order) // 2]), "worst": int(order[-1])}


def describe(comparison: AudioComparison, clip: int) -> dict[str, object]:
    """Return a sound's parameters, true and of each candidate, and its metrics."""
    space = comparison.source.synth.space
    values = {"true": comparison.truth, **comparison.candidates}
    parameters = []
    for column, spec in enumerate(space):
        named = {name: _value(spec, found[clip, column]) for name, found in values.items()}
        parameters.append({"name": spec.name, "unit": spec.unit, "values": named})
    metrics = {}
    for name, found in comparison.metrics.items():
        metrics[name] = {metric: _figure(each[clip]) for metric, each in found.items()}
    return {"dataset": comparison.results.dataset, "test_sound": clip, "parameters": parameters, "metrics": metrics}


def _value(spec: ParameterSpec, value: float) -> float | str:
    return category_name(spec, value) if spec.kind == "categorical" else float(value)


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def spectrogram_figure(sounds: dict[str, np.ndarray], sample_rate: int, title: str) -> Figure:
    """Plot the spectrograms of a true sound, the first of `sounds` (T,), and of others with their differences in dB."""
    names = list(sounds)
    levels = _decibels(np.stack([sounds[name] for name in names]), sample_rate)
    levels -= levels[0].max()
    extent = (0.0, len(sounds[names[0]]) / sample_rate, 0.0, sample_rate / 2000)
    figure = Figure(figsize=(3.4 * len(names), 5.6), layout="constrained")
    axes = figure.subplots(2, len(names), sharex=True, sharey=True, squeeze=False)
    for at, name in enumerate(names):
        drawn = axes[0, at].imshow(
            levels[at], origin="lower", aspect="auto", extent=extent, vmin=-_RANGE_DB, vmax=0, cmap="magma"
        )
        axes[0, at].set_title(plain(name), parse_math=False)
        axes[-1, at].set_xlabel("s")
    axes[0, 0].set_ylabel("kHz")
    figure.colorbar(drawn, ax=axes[0], label="dB re the true peak", aspect=30, pad=0.01)
    axes[1, 0].set_axis_off()
    for at, name in enumerate(names[1:], start=1):
        both = np.maximum(levels[[at, 0]], -_RANGE_DB)
        drawn = axes[1, at].imshow(
            both[0] - both[1], origin="lower", aspect="auto", extent=extent,
            vmin=-_DIFFERENCE_DB, vmax=_DIFFERENCE_DB, cmap="RdBu_r",
        )  # fmt: skip
        axes[1, at].set_title(f"{plain(name)} - true", parse_math=False)
    figure.colorbar(drawn, ax=axes[1], label="dB", aspect=30, pad=0.01)
    figure.suptitle(title, parse_math=False)
    return figure


def _decibels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return spectrograms (n, bins, frames) in dB of sounds (n, T), with windows of 46 ms."""
    power = PowerSpectrogram(2 * samples(sample_rate, 23))(torch.from_numpy(audio))
    return 10 * power.clamp_min(_SMALLEST_POWER).log10().transpose(1, 2).numpy()
