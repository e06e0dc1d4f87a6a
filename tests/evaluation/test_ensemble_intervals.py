"""Widths at equal coverage against a closed form and against counting."""

import numpy as np
import pytest

from src.evaluation.ensemble_intervals import compare_widths, width_table
from src.models.heads.multi_head import Estimates
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=-10, max=10, step=0.5, unit="dB"),
        ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
        ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log", unit="Hz"),
    ]
)
COUNT = 4000


def answer(truth, sigma, given, seed):
    """Return estimates whose errors on the unit scale are normal with SD `sigma`, and `given` as their SD."""
    unit = SPACE.normalize(truth) + sigma * np.random.default_rng(seed).standard_normal(truth.shape)
    value = SPACE.denormalize(unit)
    ends = [SPACE.denormalize(unit + half * given) for half in (-1, 1, -1.645, 1.645)]
    slope = np.column_stack([np.full(COUNT, 20.0), np.full(COUNT, 3.0), value[:, 2] * np.log(100)])
    for end in ends:
        end[:, 1] = np.nan
    return Estimates(value, given * slope, *ends)


@pytest.fixture
def truth():
    return SPACE.denormalize(np.random.default_rng(9).uniform(0.3, 0.7, (COUNT, 3)))


def test_widths_at_equal_coverage_do_not_depend_on_the_scale_of_the_uncertainty(truth):
    """The ensemble's are twice too wide as given; scaled to a coverage of 90 % they are those of a normal of its SD."""
    ensemble = answer(truth, 0.02, 0.04, 1)
    members = [answer(truth, sigma, 0.03, seed) for seed, sigma in ((2, 0.05), (3, 0.04))]
    level, cutoff = compare_widths(SPACE, truth, ensemble, members)  # a category has no interval
    assert (level.name, cutoff.name) == ("level", "cutoff")
    for row in (level, cutoff):
        assert row.coverage == pytest.approx(0.999, abs=0.002)
        assert row.ensemble == pytest.approx(1.645 * 0.02, rel=0.05)
        assert row.best_member == pytest.approx(1.645 * 0.04, rel=0.05)
        low, high = row.ratio_interval
        assert 0.45 < low < row.ratio < high < 0.56 and row.ratio == row.ensemble / row.best_member


def test_an_ensemble_of_equal_members_has_the_same_widths(truth):
    one = answer(truth, 0.03, 0.03, 1)
    for row in compare_widths(SPACE, truth, one, [one, one]):
        assert row.ratio == 1 and row.ratio_interval == pytest.approx((1, 1))
    columns, cells = width_table(compare_widths(SPACE, truth, one, [one, one]))
    assert len(columns) == len(cells[0]) and cells[0][-2:] == ["1", "1..1"]
