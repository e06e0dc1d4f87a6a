"""What one model, or several models together, answer to images.

Source: Lakshminarayanan, Pritzel & Blundell, Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles, arXiv 1612.01474.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from src.data.spec import DatasetSpec
from src.models.heads.multi_head import Estimates
from src.models.tasks.parameters import ParametersTask, parameters_of
from src.models.vimh_lit_module import VIMHLitModule
from src.parameters.codec import from_class, physical_per_unit, to_class, to_physical, to_unit
from src.parameters.spec import ParameterSpec


class Answers(NamedTuple):
    """What is predicted for B sounds."""

    estimates: Estimates  # (B, P) each, in physical units
    levels: Tensor  # classes (B, P) int64
    distances: Tensor  # of the features (B,), see src.models.feature_distribution; NaN if unknown
    probabilities: dict[str, Tensor]  # (B, K) of the categories of each categorical parameter
    energies: dict[str, Tensor]  # (B,) of each head with logits


class Ensemble(nn.Module):
    """Models of the same parameters and images, whose answers are averaged."""

    def __init__(self, members: Sequence[VIMHLitModule]):
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def models(self) -> list[VIMHLitModule]:
        """The members."""
        return [cast(VIMHLitModule, member) for member in self.members]

    @property
    def spec(self) -> DatasetSpec:
        """The dataset of the first member."""
        return self.models[0].spec

    @property
    def heads(self) -> ParametersTask:
        """The heads of the first member, whose parameters are those of all."""
        return parameters_of(self.models[0])


Predictor = VIMHLitModule | Ensemble


def answers(model: Predictor, image: Tensor, scale: Tensor | None) -> Answers:
    """Return what a model or an ensemble predicts for images (B, C, H, W) and dB ranges (B, 2)."""
    if isinstance(model, Ensemble):
        return combined(model.models, [answers(member, image, scale) for member in model.models])
    heads = parameters_of(model)
    features = model.features(image, scale)
    outputs = heads(features)
    return Answers(
        heads.estimates(outputs),
        heads.levels(outputs),
        model.distances(image, features),
        heads.probabilities(outputs),
        heads.energies(outputs),
    )


def combined(models: Sequence[VIMHLitModule], given: Sequence[Answers]) -> Answers:
    """Return the mean of several models' answers; the variance of their values is added to that of each.

    Means are on the scale of each parameter, and of a category those of the probabilities. Half widths of intervals
    are the calibrated multiples of the standard deviation, so they grow where the models disagree.
    """
    space = models[0].spec.space
    probabilities = {
        name: torch.stack([one.probabilities[name] for one in given]).mean(dim=0)
        for name in given[0].probabilities
        if all(name in one.probabilities for one in given)
    }
    factors = torch.stack(
        [(heads.calibration.factors / heads.calibration.scale[:, None]).cpu() for heads in map(parameters_of, models)]
    ).mean(dim=0)
    columns, levels = [], []
    for at, spec in enumerate(space):
        estimates = [Estimates(*(field[:, at] for field in one.estimates)) for one in given]
        if spec.name in probabilities:
            likelihood, level = probabilities[spec.name].max(dim=1)
            value = from_class(spec, level).to(likelihood)
            columns.append(Estimates(value, 1.0 - likelihood, *[torch.full_like(likelihood, torch.nan)] * 4))
        else:
            columns.append(_mean(spec, estimates, factors[at].tolist()))
            level = to_class(spec, columns[-1].values)
        levels.append(level)
    return Answers(
        Estimates(*(torch.stack(field, dim=1) for field in zip(*columns, strict=True))),
        torch.stack(levels, dim=1),
        torch.stack([one.distances for one in given]).mean(dim=0),
        probabilities,
        {},  # logits of different networks have different offsets
    )


def _mean(spec: ParameterSpec, estimates: Sequence[Estimates], factors: Sequence[float]) -> Estimates:
    """Return the mean of estimates, (B,) each; `factors` are half widths in standard deviations."""
    values = torch.stack([one.values for one in estimates])
    units = to_unit(spec, values)
    deviations = torch.stack([one.uncertainties for one in estimates]) / physical_per_unit(spec, values)
    unit = units.mean(dim=0)
    deviation = (deviations.square().mean(dim=0) + units.var(dim=0, correction=0)).sqrt()
    ends = [unit + sign * factor * deviation for factor in factors for sign in (-1.0, 1.0)]
    value = to_physical(spec, unit)
    physical = (to_physical(spec, end.clamp(0.0, 1.0)) for end in ends)
    return Estimates(value, physical_per_unit(spec, value) * deviation, *physical)
