"""Coverage by region and by uncertainty, CRPS and PIT: against SciPy, quadrature, and what known errors give."""

import dataclasses

import numpy as np
import pytest
from scipy import integrate, stats

from src.evaluation.predictions_file import SplitPredictions
from src.evaluation.reliability import crps, inside_90, pit, quarter_of_uncertainty, region_of_truth, reliability
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=-2, max=6, step=0.5, unit="dB"),
        ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
        ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log", unit="Hz"),
    ]
)
COUNT = 4000


@pytest.fixture(scope="module")
def predictions():
    """Predictions with normal errors of known, varying deviations; those of the level's top quarter are twice that."""
    random = np.random.default_rng(0)
    truth = SPACE.denormalize(random.uniform(0, 1, (COUNT, 3)))
    sd = random.gamma(2, 0.15, (COUNT, 3)) * (1, 1, 30)
    error = sd * random.standard_normal((COUNT, 3))
    error[truth[:, 0] > 4, 0] *= 2
    value = truth + error
    ends = {name: value + sign * 1.64485 * sd for name, sign in (("low_90", -1), ("high_90", 1))}
    for end in ends.values():
        end[:, 1] = np.nan
    level = SPACE.to_class(truth)
    rest = {"low_68": value, "high_68": value, "level": level, "true_level": level}
    means = {"baseline": truth.mean(axis=0), "image_limit": np.full(3, np.nan)}
    return SplitPredictions(space=SPACE, value=value, truth=truth, sd=sd, **ends, **rest, **means)


def test_crps_is_the_integral_of_its_definition(predictions):
    found = crps(predictions)
    assert np.isnan(found[:, 1]).all()
    for row in range(5):
        value, sd, truth = predictions.value[row, 0], predictions.sd[row, 0], predictions.truth[row, 0]
        low, high = min(truth, value - 8 * sd), max(truth, value + 8 * sd)
        below, _ = integrate.quad(lambda x, m=value, s=sd: stats.norm.cdf(x, m, s) ** 2, low, truth)
        above, _ = integrate.quad(lambda x, m=value, s=sd: stats.norm.sf(x, m, s) ** 2, truth, high)
        assert found[row, 0] == pytest.approx(below + above, rel=1e-6)


def test_pit_is_the_normal_distribution_function_and_uniform_for_normal_errors(predictions):
    found = pit(predictions)
    np.testing.assert_allclose(
        found[:, 2], stats.norm.cdf(predictions.truth[:, 2], predictions.value[:, 2], predictions.sd[:, 2])
    )
    assert stats.kstest(found[:, 2], "uniform").pvalue > 0.01
    assert stats.kstest(found[:, 0], "uniform").pvalue < 0.01  # some errors are twice as large as said


def test_regions_follow_the_scale_and_quarters_the_uncertainty(predictions):
    region, quarter = region_of_truth(predictions), quarter_of_uncertainty(predictions)
    np.testing.assert_array_equal(region[:, 0], np.digitize(predictions.truth[:, 0], [0, 2, 4]))
    edges = 50 * 100 ** np.array([0.25, 0.5, 0.75])  # equal ratios
    np.testing.assert_array_equal(region[:, 2], np.digitize(predictions.truth[:, 2], edges))
    np.testing.assert_array_equal(
        quarter[:, 0], np.digitize(predictions.sd[:, 0], np.quantile(predictions.sd[:, 0], [0.25, 0.5, 0.75]))
    )
    relative = predictions.sd[:, 2] / predictions.value[:, 2]
    np.testing.assert_array_equal(quarter[:, 2], np.digitize(relative, np.quantile(relative, [0.25, 0.5, 0.75])))


def test_the_figures_show_where_the_intervals_cover_too_little(predictions):
    level, cutoff = reliability(predictions)
    assert (level.name, cutoff.name, level.unit) == ("level", "cutoff", "dB")  # a category has no interval
    assert cutoff.coverage == inside_90(predictions)[:, 2].mean() == pytest.approx(0.9, abs=0.02)
    assert cutoff.by_region == pytest.approx([0.9] * 4, abs=0.04)
    assert cutoff.by_uncertainty == pytest.approx([0.9] * 4, abs=0.04)
    assert level.by_region == pytest.approx([0.9, 0.9, 0.9, 0.59], abs=0.04)
    assert level.crps == crps(predictions)[:, 0].mean()
    assert sum(level.pit) == pytest.approx(1) and cutoff.pit == pytest.approx([0.1] * 10, abs=0.03)


def test_a_constant_uncertainty_has_no_quarters(predictions):
    constant = dataclasses.replace(predictions, sd=np.full((COUNT, 3), 0.3))
    assert reliability(constant)[0].by_uncertainty == (None,) * 4
