"""Refine the answers of a model with the source of its training sounds."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from src.data.dataset import BatchDataset, images_to_float
from src.data.origin import source_of
from src.data.sensitivity import is_lost
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.evaluation.refinement.options import Options
from src.evaluation.refinement.problem import Problem
from src.evaluation.refinement.refine import Refined, difference_steps, joined, refine
from src.models.heads.multi_head import Estimates
from src.models.tasks.parameters import predicts_parameters
from src.models.vimh_lit_module import VIMHLitModule
from src.parameters.codec import physical_per_unit
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError

_UNKNOWN = 0.1  # the error of an answer without an uncertainty, as a fraction of the range
_WITHIN_68, _WITHIN_90 = 1.0, 1.645  # standard deviations
_BLOCK = 512


@dataclass(frozen=True)
class Refiner:
    """What refines answers: a source of sounds, the steps (P,) of finite differences in it, and how to refine."""

    source: Source
    steps: np.ndarray
    options: Options

    def refine(
        self, estimates: Estimates, images: np.ndarray, scale: np.ndarray, recorded: bool
    ) -> tuple[Estimates, Refined]:
        """Return refined estimates, arrays (n, P) as the given ones, and how the refinement went.

        `images` (n, C, H, W) are in [0, 1], unrounded if the sounds are `recorded`; noise in these leaves magnitudes
        more accurate than dB. Categorical and ordinal parameters, and those without an effect, keep their estimates.
        """
        space = self.source.synth.space
        kind = self.options.residual or ("magnitude" if recorded else "db")
        sd = estimates.uncertainties / _per_unit(space, estimates.values)
        sd = np.clip(np.where(np.isfinite(sd), sd, _UNKNOWN), 1e-4, 0.3)
        start = space.normalize(estimates.values)
        refined = refine(Problem(self.source, images, scale, start, sd, self.steps, kind), self.options, not recorded)
        return _estimates(space, estimates, refined, self.steps > 0), refined


def make_refiner(model: VIMHLitModule, spec: DatasetSpec, options: Options, trust: Iterable[str] = ()) -> Refiner:
    """Return what refines a model's answers for sounds of the synth that `spec` describes.

    Raises UserError if the synth is unknown or not trusted, or if the model predicts no parameter that can be refined.
    """
    if not predicts_parameters(model):
        raise UserError("refine: given, but this model predicts no parameters; give refine=0")
    source = source_of(spec, trust)
    lost = {effect.name for effect in spec.origin.sensitivity if is_lost(effect)}
    free = np.array([each.kind == "continuous" and each.name not in lost for each in source.synth.space])
    if not free.any():
        raise UserError(f"{spec.name}: no parameter is continuous and has an effect, so none can be refined")
    return Refiner(source, difference_steps(source, free), options)


def refine_dataset(refiner: Refiner, dataset: BatchDataset, estimates: Estimates) -> tuple[Estimates, Refined]:
    """Refine the estimates (n, P) of a split's samples, in order, on the images that it stores."""
    found: list[Estimates] = []
    parts: list[Refined] = []
    for start in range(0, len(dataset), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(dataset)))
        batch = dataset.__getitems__(rows)
        scale = batch["scale"].numpy()
        if not (scale[:, 1] >= scale[:, 0]).all() or not scale.any(axis=1).all():
            raise UserError("refine: given, but the records state no dB range; make the dataset again")
        own = Estimates(*(column[rows] for column in estimates))
        better, refined = refiner.refine(own, images_to_float(batch["image"]).numpy(), scale, recorded=False)
        found.append(better)
        parts.append(refined)
    return Estimates(*(np.concatenate(columns) for columns in zip(*found, strict=True))), joined(parts)


def _per_unit(space: ParameterSpace, values: np.ndarray) -> np.ndarray:
    """Return the derivative (n, P) of physical values by their place on the scale in [0, 1]."""
    return np.stack([physical_per_unit(spec, values[:, at]) for at, spec in enumerate(space)], axis=1)


def _estimates(space: ParameterSpace, given: Estimates, refined: Refined, free: np.ndarray) -> Estimates:
    """Return refined values with their intervals; the given ones of parameters that were held."""
    values = np.where(free, space.denormalize(refined.unit), given.values)
    found = [values, refined.sd * _per_unit(space, values)]
    for width in (_WITHIN_68, _WITHIN_90):
        for sign in (-1.0, 1.0):
            found.append(space.denormalize(refined.unit + sign * width * refined.sd))
    return Estimates(*(np.where(free, new, old) for new, old in zip(found, given, strict=True)))
