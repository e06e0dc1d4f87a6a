"""Heads that answer with a density, against scipy.stats in float64."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit, logsumexp, softmax

from src.models.heads.distribution import EvidentialHead, GaussianHead, MixtureHead
from src.models.heads.head import HeadConfig
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

LIN = ParameterSpec(name="level", min=-2, max=6, step=0.5)
LOG = ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log")
CUT = ParameterSpec(name="resonance", min=0.3, max=0.85, step=0.1)  # 7 classes, the last clipped from 0.9 to 0.85
WAVE = ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical")
each_spec = pytest.mark.parametrize("spec", [LIN, LOG, CUT, WAVE], ids=lambda spec: spec.name)
HEADS = {
    "gaussian": lambda spec: GaussianHead(spec, HeadConfig(variance=True)),
    "mixture": lambda spec: MixtureHead(spec, HeadConfig(kind="mixture", components=4)),
    "evidential": lambda spec: EvidentialHead(spec, HeadConfig(kind="evidential")),
}
each_head = pytest.mark.parametrize("name", HEADS)
LEAST, FIRST = -14.0, -4.0  # log variances: the least, and where training starts


def raw_of(columns, rows=200, scale=2.5):
    return torch.from_numpy(scale * np.random.default_rng(0).standard_normal((rows, columns))).float()


def targets(rows=200):
    return np.random.default_rng(1).uniform(0, 1, rows)


def unit(raw):
    return 1.2 * expit(raw) - 0.1


def softplus(raw):
    return np.logaddexp(0, raw)


def deviation(raw):
    return np.exp(0.5 * (LEAST + softplus(raw + FIRST - LEAST)))


def density(name, raw):
    """Return weights, means and deviations (B, C) of the normals that a head says."""
    raw = raw.double().numpy()
    if name == "gaussian":
        return np.ones((len(raw), 1)), unit(raw[:, :1]), deviation(raw[:, 1:])
    if name == "mixture":
        return softmax(raw[:, :4], axis=1), unit(raw[:, 4:8]), deviation(raw[:, 8:])
    return np.ones((len(raw), 1)), unit(raw[:, :1]), student(raw).std()[:, None]


def student(raw):
    """Return the Student distribution of a target under normal-inverse-gamma parameters."""
    nu, excess, beta = (softplus(raw[:, column]) + 1e-6 for column in (1, 2, 3))
    alpha = 1 + excess
    return stats.t(2 * alpha, unit(raw[:, 0]), np.sqrt(beta * (1 + nu) / (nu * alpha)))


def peak_of(weights, means, deviations):
    """Return the mean (B,) of the component that is highest at its own mean."""
    heights = weights * stats.norm.pdf(means, means, deviations)
    return means[np.arange(len(means)), heights.argmax(axis=1)]


def physical(spec, units):
    return ParameterSpace([spec]).denormalize(np.asarray(units)[:, None])[:, 0]


@each_spec
@each_head
def test_value_is_the_mean_and_a_mixtures_its_highest_peaks(name, spec):
    head = HEADS[name](spec)
    raw = raw_of(head.num_outputs)
    expected = physical(spec, peak_of(*density(name, raw)))
    np.testing.assert_allclose(head.value(raw), expected, rtol=1e-5, atol=1e-5)
    assert head.value(raw).max().item() == pytest.approx(spec.max, rel=1e-6)  # reached, never passed
    np.testing.assert_array_equal(head.level(raw), ParameterSpace([spec]).to_class(head.value(raw)[:, None])[:, 0])


@each_spec
@each_head
def test_distribution_is_the_normals_mass_nearest_to_each_class(name, spec):
    """Bins end halfway between classes, the last of which may be clipped; the outer ones hold the tails."""
    head = HEADS[name](spec)
    raw = raw_of(head.num_outputs)
    weights, means, deviations = density(name, raw)
    space = ParameterSpace([spec])
    grid = space.from_class(np.arange(spec.num_classes)[:, None])[:, 0]
    edges = space.normalize(((grid[1:] + grid[:-1]) / 2)[:, None])[:, 0]
    below = stats.norm.cdf(edges, means[..., None], deviations[..., None])
    ends = np.zeros((*means.shape, 1))
    expected = np.diff(np.concatenate([ends, below, ends + 1], axis=-1), axis=-1)
    expected = (weights[..., None] * expected).sum(axis=1)
    found = head.distribution(raw)
    assert found.shape == (200, spec.num_classes) and (found >= 0).all()
    np.testing.assert_allclose(found.double().sum(dim=1), 1, rtol=1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@each_head
@pytest.mark.parametrize("scale", [0.0, 30.0, 1e4])
def test_extremes_stay_a_distribution(name, scale):
    head = HEADS[name](LOG)
    raw = raw_of(head.num_outputs, scale=scale)
    found = head.distribution(raw)
    assert (found >= 0).all() and torch.isfinite(head.value(raw)).all()
    np.testing.assert_allclose(found.double().sum(dim=1), 1, rtol=1e-5)


@each_spec
@each_head
def test_spread_is_the_root_mean_square_distance_from_the_value(name, spec):
    head = HEADS[name](spec)
    raw = raw_of(head.num_outputs)
    weights, means, deviations = density(name, raw)
    value = peak_of(weights, means, deviations)
    if name == "mixture":
        value = np.clip(value, 0, 1)
    spread = np.sqrt((weights * (deviations**2 + (means - value[:, None]) ** 2)).sum(axis=1))
    np.testing.assert_allclose(head.spread(raw), spread, rtol=1e-4)
    np.testing.assert_allclose(head.width(raw), 1 / (spec.num_classes - 1), rtol=1e-6)


def bounded(log_variance):
    return -20 + softplus(20 - softplus(20 - log_variance) + 20)


@each_head
def test_default_loss_is_the_likelihood_by_scipy(name):
    head, target = HEADS[name](LOG), targets()
    raw = raw_of(head.num_outputs)
    found, terms = head.loss(raw, torch.from_numpy(target).float())
    if name == "evidential":
        nu, excess = softplus(raw[:, 1].double().numpy()), softplus(raw[:, 2].double().numpy())
        price = 0.01 * np.abs(target - unit(raw[:, 0].double().numpy())) * (2 * nu + 1 + excess)
        expected = price - student(raw.double().numpy()).logpdf(target)
    else:
        weights, means, deviations = density(name, raw)
        deviations = np.exp(0.5 * bounded(2 * np.log(deviations)))
        expected = -logsumexp(stats.norm.logpdf(target[:, None], means, deviations), b=weights, axis=1)
    assert found.item() == pytest.approx(expected.mean(), rel=1e-4) and terms == {}


def test_a_linear_mean_is_the_output_and_starts_in_the_middle():
    head, raw = GaussianHead(LIN, HeadConfig(variance=True, output="linear")), raw_of(2, scale=0.5)
    mean, spread = raw[:, 0].double().numpy(), deviation(raw[:, 1].double().numpy())
    np.testing.assert_allclose(
        head.value(raw), LIN.min + (LIN.max - LIN.min) * np.clip(mean, 0, 1), rtol=1e-5, atol=1e-5
    )
    edges = np.concatenate([[-np.inf], (np.arange(16) + 0.5) / 16, [np.inf]])  # of the bins of 17 levels
    below = stats.norm.cdf((edges - mean[:, None]) / spread[:, None])
    np.testing.assert_allclose(head.distribution(raw), np.diff(below, axis=1), atol=2e-6)
    assert head.initial_bias().tolist() == [0.5, 0.0]


def test_gaussian_crps_is_the_integral_over_both_distributions():
    raw, target = raw_of(2, rows=20), targets(20)
    head = GaussianHead(LIN, HeadConfig(variance=True, loss="gaussian_crps"))
    _, means, deviations = density("gaussian", raw)
    x = np.linspace(-4, 5, 90_001)
    gap = (stats.norm.cdf(x, means, deviations) - (x >= target[:, None])) ** 2
    found = head.loss(raw, torch.from_numpy(target).float())[0]
    assert found.item() == pytest.approx(np.trapezoid(gap, x, axis=1).mean(), rel=1e-3)


@each_head
def test_training_starts_at_the_middle_with_a_deviation_that_can_fall(name):
    """The evidential one is wider: without evidence a new target could be anywhere."""
    head = HEADS[name](LIN)
    raw = head.initial_bias().expand(1, -1)
    weights, means, deviations = density(name, raw)
    if name == "mixture":
        np.testing.assert_allclose(means[0], 1.2 * (np.arange(4) + 0.5) / 4 - 0.1, rtol=1e-6)  # so that they differ
        np.testing.assert_allclose(weights, 0.25)
        assert means[0].mean() == pytest.approx(0.5)
    else:
        assert head.value(raw).item() == pytest.approx(2.0)
    if name != "evidential":
        np.testing.assert_allclose(deviations, np.exp(-2), rtol=1e-4)


def test_two_answers_are_never_averaged():
    """Half of the targets at 0.2, half at 0.8: the value is one of them, the spread includes the other."""
    head = MixtureHead(LIN, HeadConfig(kind="mixture", components=2))
    raw = torch.nn.Parameter(head.initial_bias()[None].clone())
    optimizer = torch.optim.Adam([raw], lr=0.05)
    target = torch.tensor([0.2, 0.8]).repeat(8)
    for _ in range(150):
        optimizer.zero_grad()
        head.loss(raw.expand(16, -1), target)[0].backward()
        optimizer.step()
    found = head.value(raw).item()
    assert min(abs(found - (-2 + 8 * one)) for one in (0.2, 0.8)) < 0.05
    assert head.spread(raw).item() == pytest.approx(0.6 / np.sqrt(2), rel=0.02)
    likely = head.distribution(raw)[0].topk(2)
    assert sorted(likely.indices.tolist()) == [3, 13] and likely.values.sum() > 0.95


def test_one_component_is_the_gaussian_head():
    raw = raw_of(2)
    gaussian = HEADS["gaussian"](LOG)
    mixture = MixtureHead(LOG, HeadConfig(kind="mixture", components=1))
    wide = torch.cat([torch.randn(200, 1), raw], dim=1)
    torch.testing.assert_close(mixture.distribution(wide), gaussian.distribution(raw))
    torch.testing.assert_close(mixture.value(wide), gaussian.value(raw))
    target = torch.from_numpy(targets()).float()
    torch.testing.assert_close(mixture.loss(wide, target)[0], gaussian.loss(raw, target)[0])


@each_head
def test_every_output_gets_a_finite_gradient(name):
    head = HEADS[name](LOG)
    raw = raw_of(head.num_outputs, rows=500).requires_grad_()
    head.loss(raw, torch.from_numpy(targets(500)).float())[0].backward()
    assert torch.isfinite(raw.grad).all() and raw.grad.abs().amax(dim=0).all()


@pytest.mark.parametrize(
    ("name", "config", "fitting"),
    [
        ("gaussian", {"variance": True}, {"gaussian_nll", "gaussian_crps"}),
        ("mixture", {"kind": "mixture"}, {"mixture_nll"}),
        ("evidential", {"kind": "evidential"}, {"evidential_regression"}),
    ],
)
def test_a_loss_that_does_not_suit_names_those_that_do(name, config, fitting):
    kind = {"gaussian": GaussianHead, "mixture": MixtureHead, "evidential": EvidentialHead}[name]
    with pytest.raises(ValueError, match=r"^loss l1 does not suit an? .* head; give one of ") as raised:
        kind(LIN, HeadConfig(**config, loss="l1"))
    assert set(str(raised.value).split("; give one of ")[1].split(", ")) == fitting
