"""Negative log likelihoods of a real target under a predicted density."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from src.models.losses.base import Loss, Reduction, require

_LOWEST, _HIGHEST = -20.0, 20.0  # of log variance: a deviation from 4.5e-5 to 2.2e4
_HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


def bounded_log_variance(raw: Tensor) -> Tensor:
    """Limit log variances smoothly to [-20, 20]; values a few nats inside are unchanged.

    Source: Chua et al., Deep Reinforcement Learning in a Handful of Trials, arXiv 1805.12114, appendix A.1.
    """
    below = _HIGHEST - functional.softplus(_HIGHEST - raw)
    return _LOWEST + functional.softplus(below - _LOWEST)


class GaussianNLLLoss(Loss, name="gaussian_nll", takes=("gaussian",)):
    """(s + (y - m)^2 exp(-s) + log 2 pi) / 2 in nats, for mean m and log variance s (B, 2), target y (B,).

    s is bounded by `bounded_log_variance`. With beta > 0 each value is multiplied by its variance^beta, which is held
    constant: 0 is the likelihood, and 1 gives the mean the gradient of a squared error, so that examples with a large
    variance are not neglected.

    Source: Nix & Weigend, ICNN 1994; beta from Seitzer et al., arXiv 2203.09168.
    """

    may_be_negative = True

    def __init__(self, beta: float = 0.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require(0 <= beta <= 1, "beta", beta, "it must be from 0 to 1")
        self.beta = beta

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        mean, raw = prediction.unbind(dim=1)
        log_variance = bounded_log_variance(raw)
        values = -_log_density(mean, log_variance, target)
        if self.beta:
            values = values * torch.exp(self.beta * log_variance.detach())
        return values


class MixtureNLLLoss(Loss, name="mixture_nll", takes=("mixture",)):
    """-log sum over i of softmax(w)_i N(y; m_i, exp(s_i)) in nats, for (w, m, s) (B, 3k) and target y (B,).

    The k logits w come first, then the k means, then the k log variances, bounded by
    `bounded_log_variance`.

    Source: Bishop, Mixture Density Networks, Aston University NCRG/94/004, 1994.
    """

    may_be_negative = True

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        logits, means, raw = prediction.chunk(3, dim=1)
        log_density = _log_density(means, bounded_log_variance(raw), target[:, None])
        return -torch.logsumexp(logits.log_softmax(dim=1) + log_density, dim=1)


def _log_density(mean: Tensor, log_variance: Tensor, target: Tensor) -> Tensor:
    return -0.5 * (log_variance + (target - mean).square() * torch.exp(-log_variance)) - _HALF_LOG_2_PI
