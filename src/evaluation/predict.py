"""Predictions for sounds and datasets; the model's spec describes its front end and synth."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from src.data.dataset import BatchDataset, images_to_float
from src.data.info import read_spec
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.each_file import for_each_file
from src.evaluation.evaluate import require_same_targets
from src.evaluation.prediction_warnings import prediction_warnings
from src.evaluation.refinement.answers import Refiner, refine_dataset
from src.evaluation.refinement.refine import Refined
from src.evaluation.refinement.spread import pairs_alike
from src.evaluation.rerender import rendering_source
from src.evaluation.split_outputs import predict_split, run_split
from src.models.ensemble import Predictor, answers
from src.models.heads.multi_head import Estimates
from src.parameters.space import ParameterSpace
from src.spectral.audio_file import SUFFIXES, read_clip, write_clip
from src.spectral.front_end import FrontEnd
from src.utils.errors import UserError
from src.utils.files import path_text, write_atomic
from src.utils.table import csv_text

log = logging.getLogger(__name__)

Explainer = Callable[[np.ndarray, str], None]  # gets a clip (T,) and the beginning of the names of its files

OR_NO_SOUNDS = ", or give render=false"  # beside a shorter name
_MOST_SAMPLES = 2**26  # of a clip: more than 60 s at 768 kHz


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one sound, (P,) each, in physical units; see src.models.heads.multi_head.Estimates."""

    name: str
    values: np.ndarray
    uncertainties: np.ndarray  # NaN if unknown
    low_90: np.ndarray  # of the 90 % interval; NaN for a category
    high_90: np.ndarray
    times: tuple[float, float] | None = None  # s: start and end in the recording that the sound is cut from
    refinement: Refinement | None = None
    distance: float = math.nan  # of its features from those of validation sounds, 1 is the limit; NaN if unknown
    warnings: tuple[str, ...] = ()  # reasons to distrust it


@dataclass(frozen=True)
class Refinement:
    """How a prediction was refined."""

    network: dict[str, float]  # the network's own values, by parameter, in its unit
    rms_before: float  # of the difference between the images, in levels
    rms_after: float
    iterations: int
    ambiguous: bool  # another answer is as good
    alike: tuple[tuple[str, str], ...]  # parameters that can hardly be told apart in this sound


def sound_files(source: Path) -> list[Path]:
    """Return a path itself, or the sound files in a folder; raise UserError if the folder has none.

    Subfolders and hidden files are left out, including the `._name` files that macOS writes.
    """
    if not source.is_dir():
        return [source]
    found = []
    for path in sorted(source.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir():
            found.append(path)
    if not found:
        raise UserError(
            f"input: {path_text(source)} holds no sound file (.wav, .flac, .ogg, .mp3, .aiff, ...) and no VIMH dataset"
        )
    return found


def make_front_end(spec: DatasetSpec) -> FrontEnd:
    """Return the front end that made a dataset; raise UserError if the description does not specify it."""
    spectral, sample_rate, duration = spec.origin.spectral, spec.origin.sample_rate, spec.origin.duration
    if spectral is None or sample_rate is None or duration is None:
        raise UserError(
            f"{spec.name}: its description has no front end, so it reads no sounds; test a model of other images with "
            "src/eval.py and data.data_dir=FOLDER"
        )
    num_samples = round(duration * sample_rate)
    if not 0 < num_samples <= _MOST_SAMPLES:
        length = f"{duration:g} s at {sample_rate:g} Hz"
        raise UserError(f"{spec.name}: clips of {length} cannot be analysed; make the dataset again")
    return FrontEnd(spectral, round(sample_rate), num_samples)


def predict_files(
    model: Predictor,
    paths: list[Path],
    channel: str | None,
    render_dir: Path | None,
    trust: Iterable[str] = (),
    refiner: Refiner | None = None,
    explainer: Explainer | None = None,
) -> tuple[list[Prediction], list[str]]:
    """Predict each file; return the predictions, and a one-line error for each file that failed.

    With `render_dir` each prediction is also rendered there, together with its input as the model received it, by a
    built-in voice or one that `trust` names. With `refiner` predictions are refined, with `explainer` the network's
    answer is explained.
    """
    front_end = make_front_end(model.spec)
    source = rendering_source(model.spec, trust) if render_dir is not None else None

    def predict_file(path: Path, stem: str) -> Iterator[Prediction]:
        clip = read_clip(path, front_end.sample_rate, front_end.num_samples, channel)
        prediction = predict_clip(model, front_end, clip, path_text(path.name), refiner)
        if explainer is not None:
            explainer(clip, stem)
        yield prediction
        if render_dir is None:
            return
        sounds = {"input": clip, "predicted": rendered(source, prediction.values)}
        for kind, sound in sounds.items():
            if sound is not None:
                write_clip(render_dir / f"{stem}_{kind}.wav", sound, front_end.sample_rate)

    predictions, faults = for_each_file(paths, predict_file, OR_NO_SOUNDS)
    return [one for found in predictions.values() for one in found], faults


def predict_clip(
    model: Predictor, front_end: FrontEnd, clip: np.ndarray, name: str, refiner: Refiner | None = None
) -> Prediction:
    """Predict one clip (T,); raise UserError if the model returns values that are not finite."""
    with torch.inference_mode():
        image, scale = front_end(torch.from_numpy(clip)[None])
        estimates, distance = _estimate(model, as_trained(front_end, image), scale)
    if not np.isfinite(estimates.values).all():
        raise UserError(f"{name}: the model predicts values that are not finite; train it again")
    space = model.spec.space
    if refiner is None:
        return _prediction(space, name, estimates, distance)
    one = Estimates(*(column[None] for column in estimates))
    try:
        found = refiner.refine(one, image.numpy(), scale.numpy(), recorded=True)
    except UserError as error:  # of the voice; the network's answer is valid without it
        log.warning("%s: not refined: %s", name, error)
        return _prediction(space, name, estimates, distance)
    return _refined(refiner, [name], one, found, [distance])[0]


def _estimate(model: Predictor, image: torch.Tensor, scale: torch.Tensor) -> tuple[Estimates, float]:
    """Return the estimates of one image (1, C, H, W), arrays (P,) float64 in physical units, and its distance."""
    weights = next(model.parameters())
    answer = answers(model, image.to(weights), scale.to(weights.device))
    arrays = (column[0].cpu().numpy().astype(np.float64) for column in answer.estimates)
    return Estimates(*arrays), float(answer.distances[0])


def clip_image(front_end: FrontEnd, clip: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the image (1, C, H, W) of one clip (T,) as a model receives it, and its dB range (1, 2)."""
    image, scale = front_end(torch.from_numpy(clip)[None])
    return as_trained(front_end, image), scale


def as_trained(front_end: FrontEnd, images: torch.Tensor) -> torch.Tensor:
    """Return images in [0, 1], rounded to bytes as those that a network was trained on."""
    return images_to_float(front_end.to_bytes(images))


def rendered(source: Source | None, values: np.ndarray) -> np.ndarray | None:
    """Return the sound (T,) of values (P,), or None if no synth is available or it fails."""
    try:
        return None if source is None else source.synth.render(values[None])[:, 0]
    except UserError as error:  # the prediction is valid without a sound
        log.warning("not rendered: %s", error)
        return None


def predict_dataset(model: Predictor, directory: Path, refiner: Refiner | None = None) -> list[Prediction]:
    """Predict the test split of a VIMH directory, and refine the predictions with `refiner`."""
    spec = read_spec(directory)
    require_same_targets(model.spec, spec)
    dataset = VIMHDataset(directory, "test", spec=spec)
    outputs = run_split(model, dataset)
    estimates, distances = _require_finite(outputs.estimates), outputs.distances
    names = [f"test {row}" for row in range(len(dataset))]
    if refiner is not None:
        return _refined(refiner, names, estimates, refine_dataset(refiner, dataset, estimates), distances)
    sounds = zip(names, distances, *estimates, strict=True)
    return [_prediction(spec.space, name, Estimates(*sound), distance) for name, distance, *sound in sounds]


def estimate_dataset(model: Predictor, dataset: BatchDataset) -> Estimates:
    """Return the estimates of a split's samples in order, as arrays (n, P) float64."""
    return _require_finite(predict_split(model, dataset)[0])


def _require_finite(estimates: Estimates) -> Estimates:
    finite = np.isfinite(estimates.values).all(axis=1)
    if not finite.all():
        raise UserError(
            f"record {int(np.argmin(finite))}: the model predicts values that are not finite; train it again"
        )
    return estimates


def _prediction(space: ParameterSpace, name: str, estimates: Estimates, distance: float) -> Prediction:
    return Prediction(
        name,
        estimates.values,
        estimates.uncertainties,
        estimates.low_90,
        estimates.high_90,
        distance=float(distance),
        warnings=prediction_warnings(space, estimates.values, distance),
    )


def _refined(
    refiner: Refiner,
    names: list[str],
    network: Estimates,
    found: tuple[Estimates, Refined],
    distances: Iterable[float],
) -> list[Prediction]:
    """Return the predictions of refined estimates, arrays (n, P), beside those of the network."""
    (estimates, refined), space = found, refiner.source.synth.space
    predictions = []
    for row, (name, distance) in enumerate(zip(names, distances, strict=True)):
        refinement = Refinement(
            dict(zip(space.names, network.values[row].tolist(), strict=True)),
            float(refined.rms_before[row]),
            float(refined.rms_after[row]),
            int(refined.iterations[row]),
            bool(refined.ambiguous[row]),
            pairs_alike(space.names, refined.correlation[row]),
        )
        prediction = _prediction(space, name, Estimates(*(column[row] for column in estimates)), distance)
        predictions.append(replace(prediction, refinement=refinement))
    return predictions


def write_predictions(predictions: list[Prediction], space: ParameterSpace, output_dir: Path) -> None:
    """Write predictions.csv, one row per sound, and predictions.json, with units, each completely or not at all.

    If the sounds are cut from recordings, the CSV begins with their start and end in s, and the JSON has `times`.
    """
    suffixes = ("", "_uncertainty", "_low_90", "_high_90")
    times = {sound.name: sound.times for sound in predictions if sound.times}
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    names = ["name", *(csv_text(f"{name}{suffix}") for suffix in suffixes for name in space.names)]
    refined = any(sound.refinement for sound in predictions)
    if refined:
        names += [*(csv_text(f"{name}_network") for name in space.names), "rms_before", "rms_after", "iterations"]
    names += ["distance", "warnings"]
    writer.writerow(["start", "end", *names] if times else names)
    for sound in predictions:
        row = [*sound.values, *sound.uncertainties, *sound.low_90, *sound.high_90]
        if sound.refinement:
            how = sound.refinement
            row += [*how.network.values(), how.rms_before, how.rms_after, how.iterations]
        row.append(sound.distance)
        cells = [csv_text(sound.name), *(f"{number:.6g}" for number in row), csv_text("; ".join(sound.warnings))]
        writer.writerow([*(f"{time:.4f}" for time in sound.times or ()), *cells])
    write_atomic(output_dir / "predictions.csv", text.getvalue().encode())
    content = {
        "units": {spec.name: spec.unit for spec in space},
        "fixed": space.fixed,
        "predictions": {sound.name: by_name(space, sound.values) for sound in predictions},
        "uncertainties": {sound.name: by_name(space, sound.uncertainties) for sound in predictions},
        "intervals_90": {
            sound.name: by_name(space, sound.low_90, "_low_90") | by_name(space, sound.high_90, "_high_90")
            for sound in predictions
        },
    }
    content["distances"] = {
        sound.name: sound.distance if math.isfinite(sound.distance) else None for sound in predictions
    }
    content["warnings"] = {sound.name: list(sound.warnings) for sound in predictions if sound.warnings}
    if times:
        content["times"] = times
    if refined:
        content["refinement"] = {sound.name: asdict(sound.refinement) for sound in predictions if sound.refinement}
    write_atomic(output_dir / "predictions.json", (json.dumps(content, indent=2) + "\n").encode())


def by_name(space: ParameterSpace, numbers: np.ndarray, suffix: str = "") -> dict[str, float | None]:
    """Return numbers (P,) by parameter; unknown numbers are null, since JSON has no NaN."""
    finite_or_none = [number if math.isfinite(number) else None for number in numbers.tolist()]
    return {f"{name}{suffix}": number for name, number in zip(space.names, finite_or_none, strict=True)}
