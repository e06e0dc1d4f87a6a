"""Calibration against closed forms, scipy's optimiser, and errors of a known distribution."""

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats

from src.models.heads.calibration import (
    BANDS,
    LEVELS,
    NORMAL,
    TEMPERATURES,
    Calibration,
    Errors,
    conformal_quantile,
    fit,
    fit_variance,
    probability_of_error,
    temperature_costs,
)

STEP = 1 / 16
LAWS = {
    "uniform": stats.uniform(-0.5, 1),  # of a level head: flat over the width of a level
    "normal": stats.norm(),
    "laplace": stats.laplace(),
    "student": stats.t(3),  # of a regression head: long tails
}


def errors_of(law, count=40_000, spread=None, seed=0):
    """Return (n, 1, 3) float64 of errors drawn from a law, times the spread, beside spreads and widths."""
    spread = np.zeros(count) if spread is None else spread
    error = 0.03 * law.rvs(count, random_state=seed) * np.where(spread > 0, spread / 0.03, 1.0)
    return torch.from_numpy(np.stack([error, spread, np.full(count, STEP)], axis=1))[:, None]


def spreads(count=40_000):
    return np.exp(np.random.default_rng(1).normal(-3, 0.7, count))


def test_levels_and_half_widths_are_those_of_a_normal_distribution():
    np.testing.assert_allclose(special.erf(np.array(NORMAL) / np.sqrt(2)), LEVELS, atol=1e-5)


def test_a_spread_that_is_right_is_left_alone():
    found = fit(errors_of(stats.norm(), spread=spreads()))
    assert found["spread_power"].item() == 1
    assert found["spread_weight"].item() == pytest.approx(1, rel=0.1)  # 2,048 samples: 3 standard errors
    assert found["width_weight"].item() * STEP**2 / 12 < 0.01 * np.mean(spreads() ** 2)
    np.testing.assert_allclose(found["factors"][0], NORMAL, rtol=0.05)
    assert found["samples"].item() == 40_000
    assert found["scale"].item() == pytest.approx(1.03, abs=0.05)  # the middles of the bands are 68.5 and 91.5 %


def test_a_spread_that_is_too_wide_is_scaled_and_one_that_tells_nothing_is_left_out():
    wide = errors_of(stats.norm(), spread=spreads())
    wide[:, 0, 1] *= 3
    assert fit(wide)["spread_weight"].item() == pytest.approx(1 / 9, rel=0.1)
    blind = errors_of(stats.norm())
    blind[:, 0, 1] = torch.from_numpy(np.random.default_rng(2).permutation(spreads()))
    found = fit(blind)
    assert found["spread_weight"].item() * np.mean(spreads() ** 2) < 0.1 * 0.03**2
    assert found["width_weight"].item() == pytest.approx(12 * 0.03**2 / STEP**2, rel=0.1)


def test_errors_within_the_width_of_a_level_give_it_the_weight_1():
    samples = errors_of(stats.uniform(-0.5 * STEP / 0.03, STEP / 0.03))
    found = fit(samples)
    assert found["width_weight"].item() == pytest.approx(1, rel=0.02)
    np.testing.assert_allclose(found["factors"][0], np.sqrt(3) * np.array(LEVELS), rtol=0.02)  # flat, not normal


@pytest.mark.parametrize("seed", range(5))
def test_the_variance_fits_as_scipys_optimiser_does(seed):
    rng = np.random.default_rng(seed)
    spread, uniform = rng.gamma(2, 1, 500), np.full(500, rng.uniform(0.1, 2))
    error = np.abs(np.sqrt(rng.uniform(0, 2) * spread**2 + rng.uniform(0, 2) * uniform) * rng.standard_normal(500))

    def cost(weights, power):
        deviation = np.sqrt(weights @ np.stack([spread ** (2 * power), uniform]))
        return np.mean(np.log(deviation)) + np.log(np.mean(error / deviation))

    bests = [
        optimize.minimize(cost, [1.0, 1.0], (power,), bounds=[(1e-9, None)] * 2, method="L-BFGS-B").fun
        for power in (0.5, 1.0, 1.5, 2.0)
    ]
    arguments = (torch.from_numpy(one)[:, None] for one in (error, spread, uniform))
    power, *weights = (one.item() for one in fit_variance(*arguments))
    weights = np.array(weights)
    assert (weights >= 0).all() and cost(weights, power) == pytest.approx(min(bests), abs=3e-4)
    variance = weights @ np.stack([spread ** (2 * power), uniform])
    assert np.mean(error**2 / variance) == pytest.approx(1)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_spread_that_grades_too_coarsely_or_too_finely_is_raised_to_a_power(power):
    """Else the quarter of the samples with the largest spread would be covered too rarely, or too often."""
    given = spreads()
    samples = errors_of(stats.norm(), spread=given)
    samples[:, 0, 1] = torch.from_numpy(given ** (1 / power))
    found = fit(samples)
    assert found["spread_power"].item() == power
    assert found["spread_weight"].item() == pytest.approx(1, rel=0.1)
    calibration = Calibration(torch.tensor([False]))
    calibration.update(found)
    error, spread, width = samples.float().unbind(dim=2)
    inside = error.abs() <= calibration.factors[:, 1] * calibration.deviation(spread, width)
    uncertain = given > np.quantile(given, 0.75)
    assert inside[uncertain].double().mean().item() == pytest.approx(0.9, abs=0.01)


def test_a_few_large_errors_do_not_decide_how_much_a_spread_counts():
    samples = errors_of(stats.norm(), 4000)
    samples[:, 0, 1] = torch.from_numpy(np.random.default_rng(2).permutation(spreads(4000)))
    widest = samples[:, 0, 1].argsort()[-8:]
    samples[widest, 0, 0] = 1.0
    calibration = Calibration(torch.tensor([False]))
    calibration.update(fit(samples))
    deviation = calibration.deviation(*samples[..., 1:].float().unbind(dim=2))
    assert deviation.mean().item() < 1.1 * deviation.median().item()


@pytest.mark.parametrize("name", LAWS)
def test_intervals_cover_what_they_promise_and_the_uncertainty_keeps_to_its_bands(name):
    """Fitted to one half, judged on another: in 3,000 samples a coverage of 90 % is known to 0.8 points."""
    law, calibration = LAWS[name], Calibration(torch.tensor([True]))
    calibration.update(fit(errors_of(law, 3000, seed=1)))
    error, spread, width = errors_of(law, 30_000, seed=2).float().unbind(dim=2)
    deviation = calibration.deviation(spread, width)
    for at, level in enumerate(LEVELS):
        covered = (error.abs() <= calibration.factors[:, at] * deviation).double().mean().item()
        assert covered == pytest.approx(level, abs=0.03)
        low, high = BANDS[at]
        assert low < (error.abs() <= NORMAL[at] * calibration.scale * deviation).double().mean().item() < high


def test_the_scale_puts_both_coverages_at_the_same_place_within_their_bands():
    """In widths of the bands: as far above the middle at one level as below it at the other."""
    for law in LAWS.values():
        samples = errors_of(law, 10_000)
        found = fit(samples)
        deviation = (found["width_weight"] * STEP**2 / 12).sqrt()
        off = []
        for half_width, (low, high) in zip(NORMAL, BANDS, strict=True):
            covered = (samples[:, 0, 0].abs() <= half_width * found["scale"] * deviation).double().mean().item()
            off.append((covered - 0.5 * (low + high)) / (high - low))
        assert sum(off) == pytest.approx(0, abs=1e-3) and max(map(abs, off)) < 0.5


@pytest.mark.parametrize("count", [1, 8, 9, 10, 100])
def test_conformal_quantiles_hold_for_any_number_of_samples(count):
    """Of n + 1 exchangeable errors the last is within the bound with a probability of at least the level."""
    rising = torch.arange(1.0, count + 1)[:, None]
    for level in LEVELS:
        bound = conformal_quantile(rising, level).item()
        ranks = np.arange(1, count + 2)  # of the last one, all alike; it is within the bound where its rank is no more
        assert np.mean(ranks <= bound) >= level
        assert bound == np.inf or np.mean(ranks <= bound - 1) < level


def test_intervals_from_too_few_samples_are_the_whole_range_and_finite():
    found = fit(errors_of(stats.norm(), 1))
    deviation = Calibration(torch.zeros(1, dtype=torch.bool)).deviation(torch.zeros(1, 1), torch.zeros(1, 1))
    assert torch.isfinite(found["factors"]).all()
    assert (found["factors"] * deviation.double() > 0.999).all()  # of the range, for the smallest deviation


def test_heads_are_fitted_alone_and_those_without_a_spread_or_an_error_stay_finite():
    one, other = errors_of(stats.norm(), 500, spreads(500)), errors_of(stats.t(3), 500)
    perfect = torch.zeros_like(other)
    perfect[:, 0, 2] = STEP
    broken = torch.full_like(other, torch.nan)
    together = fit(torch.cat([one, other, perfect, broken], dim=1))
    for at, alone in enumerate((fit(one), fit(other), fit(perfect))):
        for name in ("spread_power", "spread_weight", "width_weight", "scale", "factors"):
            assert torch.isfinite(together[name][at]).all()
            torch.testing.assert_close(together[name][at], alone[name][0])


def test_many_samples_are_thinned_out_evenly():
    samples = errors_of(stats.norm(), 100_000, spreads(100_000))
    found = fit(samples)
    assert found["samples"].item() == 100_000
    assert torch.equal(found["factors"], fit(samples[::7])["factors"])


def test_before_any_validation_a_spread_is_taken_as_it_is_and_an_unknown_error_is_nan():
    calibration = Calibration(torch.tensor([False, True]))
    found = calibration.deviation(torch.tensor([[0.1, 0.0]]), torch.tensor([[STEP, STEP]]))
    assert found[0, 0].item() == pytest.approx(np.sqrt(0.1**2 + STEP**2 / 12)) and found[0, 1].isnan()
    assert calibration.samples == 0


def test_temperature_costs_are_the_cross_entropies_of_scaled_logits():
    rng = np.random.default_rng(0)
    logits, level = rng.normal(0, 3, (50, 4)), rng.integers(0, 4, 50)
    probabilities = torch.from_numpy(special.softmax(logits, axis=1))
    found = temperature_costs(probabilities, torch.from_numpy(level))
    expected = [-special.log_softmax(logits / one, axis=1)[np.arange(50), level].sum() for one in TEMPERATURES]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    wrong = probability_of_error(probabilities, torch.tensor(2.0))
    np.testing.assert_allclose(wrong, 1 - special.softmax(logits / 2, axis=1).max(axis=1), rtol=1e-6)
    certain = torch.tensor([[1.0, 0.0, 0.0]])
    assert torch.isfinite(temperature_costs(certain, torch.tensor([1]))).all()


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_of_logits_that_are_a_factor_too_large_is_found(factor):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 3))
    level = np.array([rng.choice(3, p=row) for row in special.softmax(logits, axis=1)])
    probabilities = torch.from_numpy(special.softmax(factor * logits, axis=1)).float()
    errors = Errors(1)
    errors.update(*torch.zeros(3, 20_000, 1), temperature_costs(probabilities, torch.from_numpy(level))[None])
    temperature = errors.compute()["temperature"]
    assert temperature.item() == pytest.approx(factor, rel=0.1)
    expected = probability_of_error(probabilities, temperature).mean().item()
    assert expected == pytest.approx((logits.argmax(axis=1) != level).mean(), abs=0.02)


def test_any_batches_and_processes_give_the_calibration_of_all_samples():
    samples = errors_of(stats.norm(), 301, spreads(301)).float()
    costs = torch.rand(1, len(TEMPERATURES))
    whole = Errors(1)
    whole.update(*samples.unbind(dim=2), 3 * costs)
    parts = [Errors(1), Errors(1)]
    parts[0].update(*samples[:100].unbind(dim=2), costs)
    parts[0].update(*samples[100:].unbind(dim=2), 2 * costs)
    parts[1].skip()  # one process had none left
    parts[0].merge_state(parts[1])
    expected, found = whole.compute(), parts[0].compute()
    assert list(expected) == list(found) and all(torch.equal(one, found[name]) for name, one in expected.items())
    assert set(expected) == set(Calibration(torch.tensor([False])).state_dict())
    parts[0].reset()
    parts[0].update(*samples[:50].unbind(dim=2), costs)
    assert parts[0].compute()["samples"] == 50
