"""predictions.npz: a model's predictions of a whole split beside the true values; NumPy alone reads it.

    with np.load("predictions.npz") as file:
        error = np.abs(file["value"] - file["truth"])  # (n, P), in file["units"] of file["names"]

Arrays (n, P) float32 in physical units: value, truth, sd (the standard uncertainty), and low_68, high_68, low_90,
high_90, the ends of intervals. level and true_level (n, P) int32 are classes of the step grid. baseline (P,) float32 is
the prediction without a network: the training split's mean, or for a category the most frequent one. image_limit (P,)
float32 is the least mean absolute error that the images allow; nan if it is unknown. probabilities_I (n, K) float32 are
those of the categories of the parameter with index I, only where it is categorical; energy_I (n,) float32 is -log sum
exp of the logits of its head, only where it has logits. distance (n,) float32, if it is known, says how unlike the
validation samples each sample is: 1 % of those are above 1. names and units (P,) are texts, and about is a JSON object:
which dataset, split and checkpoint they are from, and the parameters' ranges and scales.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError, first_line
from src.utils.files import path_text, require_content, sha256_of, write_atomic

FILE = "predictions.npz"
_LARGEST = 2**31  # bytes of all arrays: those of a million sounds with 40 parameters
_VALUES = ("value", "truth", "sd", "low_68", "high_68", "low_90", "high_90")
_LEVELS = ("level", "true_level")
_PROBABILITIES = "probabilities_"  # of the parameter with this index
_ENERGY = "energy_"  # of the parameter with this index
_OF_PARAMETERS = ("baseline", "image_limit")


@dataclass(frozen=True)
class SplitPredictions:
    """Predictions and true values of a split's n samples; see this module's first lines for the arrays."""

    space: ParameterSpace
    value: np.ndarray
    truth: np.ndarray
    sd: np.ndarray
    low_68: np.ndarray
    high_68: np.ndarray
    low_90: np.ndarray
    high_90: np.ndarray
    level: np.ndarray
    true_level: np.ndarray
    baseline: np.ndarray
    image_limit: np.ndarray
    about: Mapping[str, Any] = field(default_factory=dict)
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict)  # (n, K) by categorical parameter
    distance: np.ndarray | None = None  # None for a model that was not fitted to any
    energies: Mapping[str, np.ndarray] = field(default_factory=dict)  # (n,) by parameter whose head has logits

    @property
    def test_sha256(self) -> str | None:
        """The SHA-256 of the test images; None if it is not stated."""
        stated = self.about.get("dataset_sha256")
        return stated.get("test") if isinstance(stated, Mapping) else None


def write_predictions_file(predictions: SplitPredictions, directory: Path, checkpoint: Path | None = None) -> None:
    """Write predictions.npz; `checkpoint` is the file of the weights, whose SHA-256 is recorded."""
    about = dict(predictions.about)
    if checkpoint is not None:
        about |= {"checkpoint": path_text(checkpoint), "checkpoint_sha256": sha256_of(checkpoint)}
    about["parameters"] = predictions.space.to_dicts()
    arrays = {name: getattr(predictions, name).astype(np.float32) for name in (*_VALUES, *_OF_PARAMETERS)}
    arrays |= {name: getattr(predictions, name).astype(np.int32) for name in _LEVELS}
    for at, name in enumerate(predictions.space.names):
        if name in predictions.probabilities:
            arrays[f"{_PROBABILITIES}{at}"] = predictions.probabilities[name].astype(np.float32)
        if name in predictions.energies:
            arrays[f"{_ENERGY}{at}"] = predictions.energies[name].astype(np.float32)
    if predictions.distance is not None:
        arrays["distance"] = predictions.distance.astype(np.float32)
    arrays["names"] = np.array(predictions.space.names)
    arrays["units"] = np.array([spec.unit for spec in predictions.space])
    arrays["about"] = np.array(json.dumps(about))
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomic(directory / FILE, content.getbuffer())


def read_predictions_file(path: Path) -> SplitPredictions:
    """Read predictions.npz; raise UserError, one line, for a file that is missing, damaged or of another kind."""
    require_content(path, f"give a {FILE}, which src/train.py and src/eval.py write")
    try:
        with np.load(path, allow_pickle=False) as file:
            if sum(member.file_size for member in file.zip.infolist()) > _LARGEST:
                raise ValueError(f"its arrays take more than {_LARGEST:,} bytes")
            return _parse(file)
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path_text(path)}: {first_line(error)}; run src/eval.py again") from error


def _parse(file: Mapping[str, np.ndarray]) -> SplitPredictions:
    about = json.loads(str(file["about"]))
    if not isinstance(about, dict):
        raise ValueError("about: no JSON object")
    try:
        specs = TypeAdapter(list[ParameterSpec]).validate_python(about.pop("parameters"))
    except ValidationError as error:
        raise ValueError(f"parameters: {error.error_count()} faults") from error
    space = ParameterSpace(specs)
    arrays = {name: file[name] for name in (*_VALUES, *_LEVELS, *_OF_PARAMETERS)}
    shape = (len(arrays["value"]), len(space))
    for name, array in arrays.items():
        kind, expected = ("i" if name in _LEVELS else "f"), (shape[1:] if name in _OF_PARAMETERS else shape)
        if array.shape != expected or array.dtype.kind != kind:
            raise ValueError(f"{name}: an array {array.shape} {array.dtype} given, {expected} is needed")
    probabilities = {}
    for at, spec in enumerate(space):
        if f"{_PROBABILITIES}{at}" not in file:
            continue
        array = file[f"{_PROBABILITIES}{at}"]
        if array.shape != (shape[0], spec.num_classes) or array.dtype.kind != "f":
            raise ValueError(f"{_PROBABILITIES}{at}: an array {array.shape} {array.dtype} given")
        probabilities[spec.name] = array
    of_samples = {}
    for key in ("distance", *(f"{_ENERGY}{at}" for at in range(len(space)))):
        if key in file:
            of_samples[key] = file[key]
            if of_samples[key].shape != shape[:1] or of_samples[key].dtype.kind != "f":
                given = f"an array {of_samples[key].shape} {of_samples[key].dtype}"
                raise ValueError(f"{key}: {given} given, {shape[:1]} is needed")
    distance = of_samples.pop("distance", None)
    energies = {space.names[int(key.removeprefix(_ENERGY))]: array for key, array in of_samples.items()}
    return SplitPredictions(
        space=space, about=about, probabilities=probabilities, energies=energies, distance=distance, **arrays
    )
