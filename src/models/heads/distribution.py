"""Heads that predict a continuous distribution over a parameter's range."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from src.models.heads.head import Head, HeadConfig, into_range, middle_of_range, stretched_sigmoid, unit_value
from src.models.losses.values.evidential import evidential_variance
from src.parameters.codec import from_class, to_physical, to_unit
from src.parameters.spec import ParameterSpec

_LEAST_LOG_VARIANCE = -14.0  # a standard deviation of 0.001 of the range: less than the rounding to a byte
_FIRST_LOG_VARIANCE = -4.0  # a standard deviation of 0.14 of the range, at which training starts


class _UnitHead(Head):
    """The base of heads on [0, 1]: the bins of the step grid, and physical values."""

    edges: Tensor  # between the bins, (K - 1,) on [0, 1]

    def __init__(self, spec: ParameterSpec, config: HeadConfig):
        super().__init__(spec, config)
        grid = from_class(spec, torch.arange(spec.num_classes))
        middles = 0.5 * (grid[1:] + grid[:-1])
        self.register_buffer("edges", to_unit(spec, middles), persistent=False)

    def _bins(self, mean: Tensor, deviation: Tensor) -> Tensor:
        """Return the probability of each class's bin, (..., K), under a normal; the outer bins include the tails."""
        below = 0.5 * (1.0 + torch.erf((self.edges - mean[..., None]) / (deviation[..., None] * math.sqrt(2.0))))
        below = functional.pad(below, (1, 0), value=0.0)
        return functional.pad(below, (0, 1), value=1.0).diff(dim=-1)

    def _value(self, mean: Tensor) -> Tensor:
        return to_physical(self.spec, into_range(mean))

    def score(self, raw: Tensor, explained: Tensor) -> Tensor:
        return unit_value(raw[:, 0], self.config)


def _log_variance(raw: Tensor) -> Tensor:
    return _LEAST_LOG_VARIANCE + functional.softplus(raw + _FIRST_LOG_VARIANCE - _LEAST_LOG_VARIANCE)


class GaussianHead(_UnitHead):
    """Mean and log variance: a regression that also predicts the size of its error."""

    feeds = ("gaussian",)
    default_loss = "gaussian_nll"
    num_outputs = 2

    def initial_bias(self) -> Tensor:
        return middle_of_range(self.config, self.num_outputs)

    def _normal(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return unit_value(raw[:, 0], self.config), _log_variance(raw[:, 1])

    def feed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack(self._normal(raw), dim=1), target

    def value(self, raw: Tensor) -> Tensor:
        return self._value(self._normal(raw)[0])

    def distribution(self, raw: Tensor) -> Tensor:
        mean, log_variance = self._normal(raw)
        return self._bins(mean, (0.5 * log_variance).exp())

    def spread(self, raw: Tensor) -> Tensor:
        return (0.5 * self._normal(raw)[1]).exp()


class MixtureHead(_UnitHead):
    """A mixture of normals, for multimodal parameters; the value is the mean of the highest peak.

    Source: Bishop, Mixture Density Networks, Aston University NCRG/94/004, 1994.
    """

    feeds = ("mixture",)
    default_loss = "mixture_nll"

    @property
    def num_outputs(self) -> int:
        return 3 * self.config.components

    def initial_bias(self) -> Tensor:
        """Return biases that spread the components over the range, so that they learn different modes."""
        count = self.config.components
        centres = ((torch.arange(count) + 0.5) / count).logit()
        return torch.cat([torch.zeros(count), centres, torch.zeros(count)])

    def _mixture(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, means, spreads = raw.chunk(3, dim=1)
        return logits, stretched_sigmoid(means), _log_variance(spreads)

    def feed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat(self._mixture(raw), dim=1), target

    def _highest(self, raw: Tensor) -> Tensor:
        """Return the component (B,) of the highest peak."""
        logits, _, log_variances = self._mixture(raw)
        return (logits - 0.5 * log_variances).argmax(dim=1)

    def _peak(self, raw: Tensor) -> Tensor:
        return into_range(self._mixture(raw)[1].gather(1, self._highest(raw)[:, None])[:, 0])

    def value(self, raw: Tensor) -> Tensor:
        return self._value(self._peak(raw))

    def score(self, raw: Tensor, explained: Tensor) -> Tensor:
        return self._mixture(raw)[1][:, self._highest(explained)[0]]

    def distribution(self, raw: Tensor) -> Tensor:
        logits, means, log_variances = self._mixture(raw)
        return (logits.softmax(dim=1)[..., None] * self._bins(means, (0.5 * log_variances).exp())).sum(dim=1)

    def spread(self, raw: Tensor) -> Tensor:
        """Return the root mean square distance (B,) of the mixture from its value, on [0, 1]."""
        logits, means, log_variances = self._mixture(raw)
        square = log_variances.exp() + (means - self._peak(raw)[:, None]).square()
        return (logits.softmax(dim=1) * square).sum(dim=1).sqrt()


class EvidentialHead(_UnitHead):
    """A normal-inverse-gamma distribution, which separates the noise of the data from a lack of evidence.

    Source: Amini et al., Deep Evidential Regression, arXiv 1910.02600.
    """

    feeds = ("evidence",)
    default_loss = "evidential_regression"
    num_outputs = 4

    def _evidence(self, raw: Tensor) -> Tensor:
        return torch.cat([stretched_sigmoid(raw[:, :1]), raw[:, 1:]], dim=1)

    def feed(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return self._evidence(raw), target

    def value(self, raw: Tensor) -> Tensor:
        return self._value(stretched_sigmoid(raw[:, 0]))

    def distribution(self, raw: Tensor) -> Tensor:
        """Return the levels' probabilities (B, K) under a normal with the same mean and variance."""
        return self._bins(stretched_sigmoid(raw[:, 0]), self.spread(raw))

    def spread(self, raw: Tensor) -> Tensor:
        aleatoric, epistemic = evidential_variance(self._evidence(raw))
        return (aleatoric + epistemic).sqrt()
