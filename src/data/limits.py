"""What an image can tell at most: a lower limit of each parameter's error, from the image's derivatives.

Fisher information and the Cramer-Rao bound: Kay, Fundamentals of Statistical Signal Processing, vol. 1, chapter 3.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from src.data.jacobian import choose_steps, jacobian
from src.data.source import BLOCK, Source
from src.data.spec_schema import Sensitivity
from src.parameters.codec import physical_per_unit
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.spectral.decibels import to_decibels
from src.utils.errors import UserError

BYTE_SD = 1 / (255 * math.sqrt(12))  # of a rounding error, which is uniform within a level
PRIOR_SD = 1 / math.sqrt(12)  # of a value that may be anywhere in its range: 29 %
MAE_PER_SD = math.sqrt(2 / math.pi)  # of a Gaussian error

_SINGULAR = 1e-3  # smallest eigenvalue of J^T J, its diagonal normalised to 1; finite differences may be 3 % off
_STEP_POINTS = 8
_MOST_VALUES = 2**22  # of a Jacobian in memory: 32 MB
_NOISE_DRAWS = 32


@dataclass(frozen=True)
class Limits:
    """The limits at n points of a recipe's P varying parameters, as fractions of their ranges on their scales.

    A parameter that is not continuous has no derivative. It is held, as if it were known, and its columns are nan.
    """

    space: ParameterSpace
    values: np.ndarray  # (n, P), physical
    sd: np.ndarray  # (n, P): the least standard deviation of an error
    correlation: np.ndarray  # (n, P, P) of the errors
    undetermined: np.ndarray  # (n, P) bool: the image stays the same if these change together

    def mae(self, column: int) -> float:
        """Return the least mean absolute error of a parameter, in its unit."""
        spec: ParameterSpec = self.space.varying[column]
        per_unit = physical_per_unit(spec, self.values[:, column])
        return MAE_PER_SD * float(np.mean(self.sd[:, column] * per_unit))


def measure_limits(source: Source, count: int = BLOCK, noise_db: float | None = None) -> Limits:
    """Measure the limits at `count` random points: of images that are rounded to bytes, as a dataset stores them.

    With `noise_db` they are those of unrounded images of sounds with white noise, at that ratio of the sound's power
    to the noise's in dB, if magnitudes, not decibels, are compared.
    """
    space = source.synth.space
    varied = np.array([spec.kind == "continuous" for spec in space])
    if not varied.any():
        raise UserError(f"{source.name}: no parameter is continuous, so none has a limit that derivatives can tell")
    values = space.sample(source.recipe.dataset.seed, 0, count).astype(np.float64)
    unit = space.normalize(values)

    def render(points: np.ndarray) -> np.ndarray:
        images, scale = source.float_images(space.denormalize(points))
        return images if noise_db is None else _magnitudes(images, scale)

    steps = choose_steps(render, unit[:_STEP_POINTS], varied)
    size = max(1, _MOST_VALUES // (max(1, varied.sum()) * math.prod(source.front_end.image_shape)))
    parts = []
    for start in range(0, count, size):
        rows = slice(start, start + size)
        derivatives = jacobian(render, unit[rows], steps)[:, varied]
        if noise_db is None:
            parts.append(derivatives @ derivatives.transpose(0, 2, 1) / BYTE_SD**2)
        else:
            parts.append(_information_in_noise(source, values[rows], derivatives, noise_db))
    sd, correlation, undetermined = lower_limit(np.concatenate(parts))
    held = np.full((count, len(space)), np.nan)
    whole, together = held.copy(), np.zeros(held.shape, bool)
    whole[:, varied], together[:, varied] = sd, undetermined
    all_correlations = np.full((count, len(space), len(space)), np.nan)
    all_correlations[:, np.outer(varied, varied)] = correlation.reshape(count, -1)
    return Limits(space, values, whole, all_correlations, together)


def lower_limit(information: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the least sd (n, P), correlations (n, P, P), and what is undetermined (n, P), from the Fisher information.

    `information` (n, P, P) is by values in [0, 1], of which the range is all that is known beforehand: no sd is above
    29 %. A direction in which J^T J is singular, within the precision of finite differences, carries no information.
    """
    size = np.sqrt(np.einsum("npp->np", information))
    scale = np.where(size > 0, size, 1.0)
    eigenvalues, vectors = np.linalg.eigh(information / (scale[:, :, None] * scale[:, None, :]))
    singular = eigenvalues < _SINGULAR
    kept = np.where(singular, 0.0, eigenvalues)
    told = scale[:, :, None] * (vectors * kept[:, None, :] @ vectors.transpose(0, 2, 1)) * scale[:, None, :]
    covariance = np.linalg.inv(told + np.eye(size.shape[1]) / PRIOR_SD**2)
    sd = np.sqrt(np.einsum("npp->np", covariance))
    correlation = covariance / (sd[:, :, None] * sd[:, None, :])
    return sd, correlation, ((np.abs(vectors) > 0.3) & singular[:, None, :]).any(axis=2)


def _magnitudes(images: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return amplitudes (n, H, W) of images (n, C, H, W), of which 0 and 1 are the dB values `scale` (n, 2)."""
    return 10.0 ** (to_decibels(images[:, 0], scale.astype(np.float64)) / 20.0)


def _information_in_noise(source: Source, values: np.ndarray, derivatives: np.ndarray, noise_db: float) -> np.ndarray:
    """Return the inverse covariance (n, P, P) of a least-squares fit to magnitudes under white noise.

    The sandwich A G^-1 A, with A = J^T J and G the covariance of J^T noise over draws, holds for noise that is
    correlated between cells, as it is with overlapping windows (White, Econometrica 48, 1980).
    """
    sounds, clean = source.sounds(values), _magnitudes(*source.float_images(values))
    level = np.sqrt(np.mean(np.square(sounds, dtype=np.float64), axis=1, keepdims=True)) * 10.0 ** (-noise_db / 20.0)
    random = np.random.Generator(np.random.Philox(key=source.recipe.dataset.seed))
    spread = np.zeros((len(values), derivatives.shape[1], derivatives.shape[1]))
    for _ in range(_NOISE_DRAWS):
        noisy = torch.from_numpy((sounds + level * random.standard_normal(sounds.shape)).astype(np.float32))
        with torch.inference_mode():
            images, scale = source.front_end(noisy)
        change = (_magnitudes(images.numpy(), scale.numpy()) - clean).reshape(len(values), -1)
        moved = (derivatives @ change[:, :, None])[:, :, 0]
        spread += moved[:, :, None] * moved[:, None, :] / _NOISE_DRAWS
    return sandwich(derivatives @ derivatives.transpose(0, 2, 1), spread)


def sandwich(squared: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return the inverse covariance (n, P, P) of a fit from J^T J and the covariance of J^T noise (White 1980)."""
    return squared @ np.linalg.pinv(spread, rcond=1e-9, hermitian=True) @ squared


def add_limits(source: Source, rows: list[Sensitivity]) -> list[Sensitivity]:
    """Return the rows of a dataset's description with each parameter's limit, in its unit and of its range."""
    if all(spec.kind != "continuous" for spec in source.synth.space):
        return rows
    limits = measure_limits(source)
    added = []
    for column, row in enumerate(rows):
        if not np.isnan(limits.sd[0, column]):
            of_range = np.quantile(limits.sd[:, column], [0.5, 0.9])
            mae, median, worse = (float(f"{figure:.4g}") for figure in (limits.mae(column), *of_range))
            row = row.model_copy(update={"limit_mae": mae, "limit_median": median, "limit_90": worse})
        added.append(row)
    return added
