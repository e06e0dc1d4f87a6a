"""Evidential losses against scipy's Dirichlet and Student distributions, and sampling."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from src.models.losses.values.evidential import (
    EvidentialClassificationLoss,
    EvidentialRegressionLoss,
    evidential_variance,
    normal_inverse_gamma,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (4, 5))
LEVELS = np.array([0, 4, 2, 2])
RAW = RNG.normal(0, 1, (6, 4))
TARGET = RNG.normal(size=6)


def softplus(x):
    return np.log1p(np.exp(x))


def kl_to_uniform(a):
    """Return KL(Dirichlet(a) || Dirichlet(1)) by entropies: the uniform's density is constant."""
    return scipy.stats.dirichlet(np.ones(len(a))).entropy() - scipy.stats.dirichlet(a).entropy()


@pytest.mark.parametrize(("step", "annealing"), [(0, 0.0), (250, 0.25), (4000, 1.0)])
def test_classification_matches_scipys_dirichlet(step, annealing):
    loss = EvidentialClassificationLoss(annealing_steps=1000, reduction="none").eval()
    loss.step.fill_(step)
    expected = []
    for row, y in zip(1 + softplus(LOGITS), LEVELS, strict=True):
        law = scipy.stats.dirichlet(row)
        error = ((np.eye(5)[y] - law.mean()) ** 2 + law.var()).sum()
        misleading = np.where(np.arange(5) == y, 1.0, row)
        expected.append(error + annealing * kl_to_uniform(misleading))
    np.testing.assert_allclose(loss(torch.tensor(LOGITS), torch.tensor(LEVELS)), expected, rtol=1e-6)


def test_annealing_advances_by_one_a_forward_in_training_only_and_is_kept_in_checkpoints():
    loss = EvidentialClassificationLoss(annealing_steps=2)
    logits, levels = torch.tensor(LOGITS), torch.tensor(LEVELS)
    values = [loss(logits, levels).item() for _ in range(4)]
    assert values[0] < values[1] < values[2] == values[3]
    assert values[2] - values[1] == pytest.approx(values[1] - values[0])
    loss.eval()
    assert loss(logits, levels).item() == values[3] and loss.state_dict()["step"] == 4


def test_distribution_is_the_dirichlets_mean_and_vacuity_says_how_little_is_known():
    loss = EvidentialClassificationLoss()
    mean = loss.distribution(torch.tensor(LOGITS))
    expected = [scipy.stats.dirichlet(row).mean() for row in 1 + softplus(LOGITS)]
    np.testing.assert_allclose(mean, expected, rtol=1e-9)
    np.testing.assert_allclose(loss.vacuity(torch.full((1, 5), -1e4)), 1)
    np.testing.assert_allclose(loss.vacuity(torch.full((1, 5), 99.0)), 0.01, rtol=1e-6)


def test_regression_is_students_log_density_and_the_price_of_evidence():
    gamma, nu, alpha, beta = (one.numpy() for one in normal_inverse_gamma(torch.tensor(RAW)))
    scale = np.sqrt(beta * (1 + nu) / (nu * alpha))
    density = scipy.stats.t.logpdf(TARGET, df=2 * alpha, loc=gamma, scale=scale)
    for coefficient in (0.0, 0.01):
        loss = EvidentialRegressionLoss(coefficient, "none")
        expected = -density + coefficient * abs(TARGET - gamma) * (2 * nu + alpha)
        np.testing.assert_allclose(loss(torch.tensor(RAW), torch.tensor(TARGET)), expected, rtol=1e-9)


def test_parameters_are_in_their_ranges():
    raw = torch.tensor([[2.0, 0.0, 0.0, 0.0], [-1e4] * 4, [1e4] * 4])
    gamma, nu, alpha, beta = normal_inverse_gamma(raw)
    assert torch.equal(gamma, raw[:, 0])
    assert (nu > 0).all() and (alpha > 1).all() and (beta > 0).all()
    np.testing.assert_allclose([nu[0], alpha[0] - 1, beta[0]], np.log(2), rtol=1e-5)


def test_variances_are_those_of_samples_and_add_up_to_the_students():
    raw = torch.tensor([[0.5, 1.0, 6.0, 2.0]], dtype=torch.float64)
    gamma, nu, alpha, beta = (one.item() for one in normal_inverse_gamma(raw))
    aleatoric, epistemic = (one.item() for one in evidential_variance(raw))
    variance = scipy.stats.invgamma(alpha, scale=beta).rvs(400_000, random_state=0)
    mean = gamma + np.sqrt(variance / nu) * RNG.normal(size=400_000)
    assert aleatoric == pytest.approx(variance.mean(), rel=0.01)
    assert epistemic == pytest.approx(mean.var(), rel=0.02)
    student = scipy.stats.t(2 * alpha, scale=np.sqrt(beta * (1 + nu) / (nu * alpha)))
    assert aleatoric + epistemic == pytest.approx(student.var())


@pytest.mark.parametrize("alpha", [1.5, 7.9, 8.0, 30.0, 1e3, 1e5, 1e6, 1e8])
@pytest.mark.parametrize("error", [0.0, 0.01, 0.3])
def test_much_evidence_keeps_its_digits_in_float32(alpha, error):
    """The error's variance is 0.01 whatever alpha; the reference is scipy's density in float64."""
    nu, beta = 2.0, 0.01 * (alpha - 1)
    raw = torch.tensor([[0.5, *(np.log(np.expm1(one)) if one < 30 else one for one in (nu, alpha - 1, beta))]])
    raw = raw.float().requires_grad_()
    gamma, nu, alpha, beta = (one.detach().double().item() for one in normal_inverse_gamma(raw))
    scale = np.sqrt(beta * (1 + nu) / (nu * alpha))
    difference = float(np.float32(0.5 + error)) - gamma
    likelihood = scipy.stats.t.logpdf(difference, df=2 * alpha, scale=scale)
    value = EvidentialRegressionLoss(coefficient=0.0)(raw, torch.tensor([0.5 + error]))
    value.backward()
    assert value.item() == pytest.approx(-likelihood, rel=2e-5, abs=2e-5)
    exact = raw.detach().double().requires_grad_()
    EvidentialRegressionLoss(coefficient=0.0)(exact, torch.tensor([0.5 + error]).double()).backward()
    np.testing.assert_allclose(raw.grad, exact.grad, rtol=1e-3, atol=1e-6)


def test_endless_evidence_is_a_normal_distribution():
    raw = torch.tensor([[0.5, 1e12, 1e12, 1e10]])  # variance 0.01, and no doubt about it
    value = EvidentialRegressionLoss(coefficient=0.0)(raw, torch.tensor([0.6]))
    assert value.item() == pytest.approx(-scipy.stats.norm.logpdf(0.1, scale=0.1), rel=1e-5)


def test_little_evidence_keeps_the_digits_of_its_variance():
    raw = torch.tensor([[0.5, 0.0, -12.0, 0.0]])
    excess = np.log1p(np.exp(-12.0)) + 1e-6  # alpha - 1; a difference in float32 has two digits of it
    aleatoric, _ = evidential_variance(raw)
    assert aleatoric.item() == pytest.approx((np.log(2) + 1e-6) / excess, rel=1e-5)


@pytest.mark.parametrize("logit", [-1e4, -200.0, -50.0])
def test_without_evidence_every_level_has_the_same_share_of_the_belief(logit):
    belief = EvidentialClassificationLoss().belief(torch.full((1, 5), logit))
    np.testing.assert_allclose(belief, 1 / 5, rtol=1e-6)


def test_belief_is_each_levels_share_of_the_evidence():
    evidence = softplus(LOGITS)
    belief = EvidentialClassificationLoss().belief(torch.tensor(LOGITS))
    np.testing.assert_allclose(belief, evidence / evidence.sum(axis=1, keepdims=True), rtol=1e-5, atol=1e-6)
