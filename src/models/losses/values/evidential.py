"""Evidential losses: a prediction also states the amount of evidence for it."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from src.models.losses.base import Loss, Reduction, require

_FLOOR = 1e-6  # keeps parameters and sums of evidence above 0


class EvidentialClassificationLoss(Loss, name="evidential_classification", takes=("levels",)):
    """Expected squared error of a Dirichlet, plus a growing penalty on evidence for wrong levels.

    Logits (B, K) give the concentrations a = 1 + softplus(logits), S = sum a, m = a / S; for levels
    (B,) int64 with one-hot q the value is sum (q - m)^2 + m (1 - m) / (S + 1) + c KL(a' || uniform), where
    a' is a with the true level's value set to 1. c rises from 0 to 1 over `annealing_steps` forward passes in training
    mode; evaluation uses the current c and does not change it.

    Source: Sensoy, Kaplan & Kandemir, Evidential Deep Learning, arXiv 1806.01768.
    """

    step: Tensor

    def __init__(self, annealing_steps: int = 1000, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require(annealing_steps >= 1, "annealing_steps", annealing_steps, "it must be at least 1")
        self.annealing_steps = annealing_steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))  # saved in checkpoints

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        concentration = _concentration(prediction)
        total = concentration.sum(dim=1, keepdim=True)
        mean = concentration / total
        true = torch.zeros_like(mean).scatter_(1, target[:, None], 1.0)
        error = ((true - mean).square() + mean * (1.0 - mean) / (total + 1.0)).sum(dim=1)
        annealing = (self.step / self.annealing_steps).clamp_max(1.0)
        if self.training:
            self.step += 1
        return error + annealing * self._divergence(true + (1.0 - true) * concentration)

    def _divergence(self, concentration: Tensor) -> Tensor:
        """Return KL(Dirichlet || uniform), (B,).

        Outside the digamma, a is held constant. Since d/da [(a - 1) psi(a) - log Gamma(a)] = (a - 1) psi'(a), the
        gradient is exact, at two thirds of the cost (first derivatives only).
        """
        held = concentration.detach()
        digamma = concentration.digamma() - concentration.sum(dim=1, keepdim=True).digamma()
        volume = held.sum(dim=1).lgamma() - held.lgamma().sum(dim=1) - math.lgamma(held.shape[1])
        return volume + ((held - 1.0) * digamma).sum(dim=1)

    def distribution(self, logits: Tensor) -> Tensor:
        """Return the expected level probabilities (B, K)."""
        concentration = _concentration(logits)
        return concentration / concentration.sum(dim=1, keepdim=True)

    def belief(self, logits: Tensor) -> Tensor:
        """Return each level's fraction of the evidence (B, K); without evidence all fractions are equal."""
        evidence = functional.softplus(logits) + _FLOOR / logits.shape[1]
        return evidence / evidence.sum(dim=1, keepdim=True)

    def vacuity(self, logits: Tensor) -> Tensor:
        """Return K / S, (B,) in (0, 1]: 1 without any evidence."""
        return logits.shape[1] / _concentration(logits).sum(dim=1)


def _concentration(logits: Tensor) -> Tensor:
    return 1.0 + functional.softplus(logits)


class EvidentialRegressionLoss(Loss, name="evidential_regression", takes=("evidence",)):
    """-log St(y; gamma, beta (1 + nu) / (nu alpha), 2 alpha) + coefficient |y - gamma| (2 nu + alpha), in nats.

    Raw outputs (B, 4) give the parameters by `normal_inverse_gamma`; target y (B,). St is the Student density
    (location, squared scale, degrees of freedom) that results from integrating over the unknown mean and variance; the
    second term penalises evidence if the error is large.

    Source: Amini et al., Deep Evidential Regression, arXiv 1910.02600.
    """

    may_be_negative = True

    def __init__(self, coefficient: float = 0.01, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require(0 <= coefficient < math.inf, "coefficient", coefficient, "it must be at least 0")
        self.coefficient = coefficient

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        gamma, nu, alpha, beta = normal_inverse_gamma(prediction)
        error = target - gamma
        omega = 2.0 * beta * (1.0 + nu)
        likelihood = (
            0.5 * torch.log(math.pi * omega / nu)
            + (alpha + 0.5) * torch.log1p(nu * error.square() / omega)
            + _log_gamma_ratio(alpha)
        )
        return likelihood + self.coefficient * error.abs() * (2.0 * nu + alpha)


def normal_inverse_gamma(raw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return gamma, nu > 0, alpha > 1 and beta > 0, (B,) each, of raw outputs (B, 4).

    The mean is N(gamma, variance / nu), the variance inverse gamma (alpha, beta): gamma is the prediction, and nu and
    2 alpha are the numbers of observations that support the mean and the variance.
    """
    gamma, nu, excess, beta = _unpack(raw)
    return gamma, nu, 1.0 + excess, beta


def _unpack(raw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return gamma, nu, alpha - 1 and beta; alpha - 1 is not computed as a difference, which would lose digits."""
    gamma, *rest = raw.unbind(dim=1)
    nu, excess, beta = (functional.softplus(column) + _FLOOR for column in rest)
    return gamma, nu, excess, beta


def _log_gamma_ratio(x: Tensor) -> Tensor:
    """Return log(Gamma(x) / Gamma(x + 1/2)) for x >= 1.

    The difference of two `lgamma` loses all its digits in float32 once x is about 1e6, so above 8 the
    asymptotic series is used, whose first omitted term is then below 2e-11.

    Source: Tricomi & Erdelyi, Pacific Journal of Mathematics 1(1), 1951.
    """
    inverse = 1.0 / x
    tail = 1 / 8 - inverse**2 * (1 / 192 - inverse**2 * (1 / 640 - inverse**2 * (17 / 14336)))
    return torch.where(x < 8.0, x.lgamma() - (x + 0.5).lgamma(), inverse * tail - 0.5 * x.log())


def evidential_variance(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Return the aleatoric and the epistemic variance, (B,) each, of raw outputs (B, 4).

    The aleatoric variance E[variance] = beta / (alpha - 1) is the noise of the data. The epistemic variance Var[mean] =
    beta / (nu (alpha - 1)) would decrease with more data. Their sum is the variance of a new target.
    """
    _, nu, excess, beta = _unpack(raw)
    aleatoric = beta / excess
    return aleatoric, aleatoric / nu
