"""Calibration of uncertainties: scale the spreads that heads predict to the errors of a validation.

Errors, spreads and widths are on the unit scale of each parameter, [0, 1] from min to max, so the interval of a
log-scaled parameter is asymmetric in its unit.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

LEVELS = (0.68, 0.90)  # nominal coverage of the intervals
BANDS = ((0.55, 0.82), (0.87, 0.96))  # the intended coverage of normal intervals of width `+-`
NORMAL = (0.99446, 1.64485)  # half widths of these normal intervals, in standard deviations
TEMPERATURES = tuple(2.0 ** (exponent / 8) for exponent in range(-24, 25))  # 1/8 to 8 in steps of 9 %
_FLOOR = 1e-6  # smallest standard deviation, as a fraction of the range: the resolution of float32
_MOST = 16_384  # samples used for a fit: they determine a coverage of 90 % to 0.25 %
_MOST_FOR_VARIANCE = 2048  # of them: they determine a standard deviation to 2 %
_GRID = 17  # shares of the spread in the variance that are tried together
_POWERS = (1.0, 0.5, 1.5, 2.0)  # of the spread: heads may grade their doubt too coarsely or too finely


class Calibration(nn.Module):
    """The calibration of P heads, fitted at the end of each validation and saved in checkpoints.

    The variance of a head's error is `spread_weight` * (spread^`spread_power`)^2 + `width_weight` * width^2 / 12: the
    head's own spread, and an error that is uniform over the width of a level. Its root times `scale` is the standard
    uncertainty; its root times `factors` is the half width of each interval of LEVELS. Categories have a `temperature`
    instead. `samples` is the number of validation sounds; before a validation it is 0 and all values are defaults.
    """

    spread_power: Tensor
    spread_weight: Tensor
    width_weight: Tensor
    scale: Tensor
    factors: Tensor
    temperature: Tensor
    samples: Tensor

    def __init__(self, unknown: Tensor):
        """Start from defaults; `unknown` (P,) bool marks heads without a spread: NaN until errors are measured."""
        super().__init__()
        size = len(unknown)
        self.register_buffer("spread_power", torch.ones(size))
        self.register_buffer("spread_weight", torch.ones(size))
        self.register_buffer("width_weight", torch.ones(size).masked_fill(unknown, torch.nan))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("factors", torch.tensor(NORMAL).repeat(size, 1))
        self.register_buffer("temperature", torch.ones(size))
        self.register_buffer("samples", torch.zeros((), dtype=torch.int64))

    def deviation(self, spread: Tensor, width: Tensor) -> Tensor:
        """Return standard deviations (B, P) for spreads and widths (B, P)."""
        spread_variance = spread.pow(self.spread_power).square()
        variance = self.spread_weight * spread_variance + self.width_weight * width.square() / 12.0
        return variance.clamp_min(_FLOOR**2).sqrt()

    def update(self, fitted: dict[str, Tensor]) -> None:
        """Store the result of `Errors.compute`."""
        for name, value in fitted.items():
            buffer = getattr(self, name)
            buffer.copy_(value.to(buffer.dtype))


class Errors(Metric):
    """The errors of P heads in a validation, over all processes, and the calibration that fits them."""

    full_state_update = False
    samples: Any  # a list of (n, P, 3); over several processes one tensor
    costs: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.add_state("samples", [], dist_reduce_fx="cat")  # (n, P, 3): error, spread and width
        self.add_state("costs", torch.zeros(size, len(TEMPERATURES)), dist_reduce_fx="sum")

    def update(self, error: Tensor, spread: Tensor, width: Tensor, costs: Tensor) -> None:
        """Add a batch: errors, spreads and widths (B, P) on the unit scale, and `temperature_costs` (P, T)."""
        self.samples.append(torch.stack([error, spread, width], dim=2))
        self.costs += costs

    def skip(self) -> None:
        """Add no samples, since a process without samples also takes part in gathering them."""
        self.samples.append(torch.empty(0, self.size, 3, device=self.device))

    def compute(self) -> dict[str, Tensor]:
        """Return the buffers of `Calibration` by name."""
        samples = torch.cat(self.samples) if isinstance(self.samples, list) else self.samples
        temperature = torch.tensor(TEMPERATURES)[self.costs.argmin(dim=1).cpu()]
        return fit(samples) | {"temperature": temperature}


def fit(samples: Tensor) -> dict[str, Tensor]:
    """Fit everything except the temperature to samples (n, P, 3) of error, spread and width; on the CPU, in float64.

    `factors` are those of split conformal prediction with normalised errors: for a level p the ceil((n + 1) p)-th
    smallest |error| / deviation. If n is too small for p, the interval is the whole range. `scale` centres the
    coverages of the two normal intervals in BANDS. The errors' standard deviation would not: its 90 % interval covers
    too much if they are flat, its 68 % interval if they have long tails.

    Source: Lei et al., Distribution-Free Predictive Inference for Regression, JASA 113(523), 2018, section 5.2.
    """
    count = len(samples)
    error, spread, width = samples[:: math.ceil(count / _MOST)].cpu().double().unbind(dim=2)
    power, *weights = fit_variance(error.abs(), spread, width.square() / 12.0)
    variance = weights[0] * spread.pow(power).square() + weights[1] * width.square() / 12.0
    ratio = (error.abs() / variance.clamp_min(_FLOOR**2).sqrt()).sort(dim=0).values
    factors = torch.stack([conformal_quantile(ratio, level) for level in LEVELS], dim=1)
    return {
        "spread_power": power,
        "spread_weight": weights[0],
        "width_weight": weights[1],
        "scale": _scale(ratio),
        "factors": factors.clamp_max(1.0 / _FLOOR),  # values in a checkpoint must be finite
        "samples": torch.tensor(count),
    }


def fit_variance(error: Tensor, spread: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the power p and the weights a, b >= 0, (P,) each, of the variance v = a spread^(2 p) + b uniform.

    Arguments are (n, P): |error|, spread, and the variance of the uniform error. p and the ratio of a and b minimise
    the mean of log d + |error| / d with d proportional to the root of v, which a few large errors determine less than
    they do the likelihood of a normal distribution. a and b then make v the mean square error.
    """
    every = math.ceil(len(error) / _MOST_FOR_VARIANCE)
    error, spread, uniform = error[::every], spread[::every], uniform[::every]
    typical = spread.mean(dim=0).clamp_min(_FLOOR)
    fits = []
    for power in _POWERS if spread.any() else _POWERS[:1]:
        cost, spread_weight, width_weight = _fit_weights(error, (spread / typical).pow(2.0 * power), uniform)
        fits.append(torch.stack([cost, torch.full_like(cost, power), spread_weight, width_weight]))
    costs, *candidates = torch.stack(fits).unbind(dim=1)  # (powers, P) each
    best = costs.argmin(dim=0, keepdim=True)
    chosen, spread_weight, width_weight = (candidate.gather(0, best)[0] for candidate in candidates)
    return chosen, spread_weight / typical.pow(2.0 * chosen), width_weight


def _fit_weights(error: Tensor, spread: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cost and the weights a and b, (P,) each, of the variance a spread + b uniform; all are (n, P).

    With both terms scaled to a mean of 1, the variance is c (w spread + (1 - w) uniform): the best c has a closed form
    for each share w, which is searched on a grid, then on a finer grid around the best value.
    """
    has_spread = spread.any(dim=0)
    scales = [variances.mean(dim=0).clamp_min(_FLOOR**2) for variances in (spread, uniform)]
    terms = [torch.where(has_spread, spread / scales[0], uniform / scales[1]), uniform / scales[1]]
    share, reach = torch.full_like(scales[0], 0.5), 0.5
    for _ in range(2):
        shares = (share + reach * torch.linspace(-1.0, 1.0, _GRID, dtype=share.dtype)[:, None]).clamp(0.0, 1.0)
        variance = (shares[:, None] * terms[0] + (1.0 - shares[:, None]) * terms[1]).clamp_min(_FLOOR**2)
        deviation = variance.sqrt()
        costs = (error / deviation).mean(dim=1).clamp_min(_FLOOR).log() + deviation.log().mean(dim=1)
        best = costs.argmin(dim=0, keepdim=True)
        share, reach = shares.gather(0, best)[0], reach * 2.0 / (_GRID - 1)
    factor = (error.square() / variance).mean(dim=1).gather(0, best)[0]
    share = torch.where(has_spread, share, 0.0)
    return costs.gather(0, best)[0], factor * share / scales[0], factor * (1.0 - share) / scales[1]


def conformal_quantile(rising: Tensor, level: float) -> Tensor:
    """Return the ceil((n + 1) level)-th smallest value of each sorted column (n, P), infinity if n is too small."""
    rank = math.ceil((len(rising) + 1) * level)
    return rising[rank - 1] if rank <= len(rising) else torch.full_like(rising[0], math.inf)


def _scale(ratio: Tensor) -> Tensor:
    """Return the factors k (P,) of the deviation for ratios |error| / deviation (n, P).

    Let F be their distribution and z the normal half width of a level. F(z k) should be as far above the middle of its
    band at one level as it is below at the other, in units of the bands' widths. The sum of both conditions determines
    a quantile of the pooled ratio / z, in which each level has the weight 1 / (width of its band).
    """
    pooled = torch.cat([ratio / half_width for half_width in NORMAL])
    weights = torch.tensor([1.0 / (high - low) for low, high in BANDS], dtype=ratio.dtype)
    middles = torch.tensor([0.5 * (low + high) for low, high in BANDS], dtype=ratio.dtype)
    rising, order = pooled.sort(dim=0)
    cumulative = weights.repeat_interleave(len(ratio))[order].cumsum(dim=0)
    at = (cumulative < len(ratio) * (weights @ middles)).sum(dim=0)
    return rising.gather(0, at[None])[0]


def temperature_costs(probabilities: Tensor, level: Tensor) -> Tensor:
    """Return the summed cross entropies (T,) of levels (B,) under probabilities (B, K) at each of TEMPERATURES.

    Source: Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599, section 4.2.
    """
    temperatures = torch.tensor(TEMPERATURES).to(probabilities.device, non_blocking=True)
    inverse = 1.0 / temperatures
    log_p = (_log(probabilities)[:, :, None] * inverse).log_softmax(dim=1)
    return -log_p.gather(1, level[:, None, None].expand(-1, 1, len(inverse))).sum(dim=(0, 1))


def probability_of_error(probabilities: Tensor, temperature: Tensor) -> Tensor:
    """Return the probability (B,) that the most likely of K levels is wrong, for (B, K) at a temperature ()."""
    return 1.0 - tempered(probabilities, temperature).amax(dim=1)


def tempered(probabilities: Tensor, temperature: Tensor) -> Tensor:
    """Return the probabilities (B, K) of levels at a temperature ()."""
    return (_log(probabilities) / temperature).softmax(dim=1)


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()
