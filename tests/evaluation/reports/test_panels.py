"""The figures behind the panels equal those that other programs and plain loops compute."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix

from src.evaluation.reports import panels
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests.evaluation.reports.made import SD, SPACE, make_predictions

PREDICTIONS = make_predictions(400)


def test_relative_errors_are_shares_of_the_range_and_wrong_categories():
    errors = panels.relative_errors(PREDICTIONS)
    for at, spec in enumerate(SPACE):
        if spec.kind == "categorical":
            expected = PREDICTIONS.level[:, at] != PREDICTIONS.true_level[:, at]
        else:
            expected = np.abs(PREDICTIONS.value - PREDICTIONS.truth)[:, at] / (spec.max - spec.min)
        np.testing.assert_allclose(errors[:, at], expected)


def test_correlations_are_spearmans():
    found = panels.error_correlations(PREDICTIONS)
    signed = panels.signed_errors(PREDICTIONS)
    for one in range(len(SPACE)):
        for other in range(len(SPACE)):
            expected = stats.spearmanr(signed[:, one], signed[:, other]).statistic
            assert found[one, other] == pytest.approx(expected, abs=1e-12)


def test_a_head_without_a_mistake_has_no_correlation():
    one = make_predictions(20)
    one.value[:, 3] = one.truth[:, 3]
    found = panels.error_correlations(one)
    assert np.isnan(found[3]).all() and found[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("at", range(len(SPACE)))
def test_confusion_counts_are_sklearns(at):
    found = panels.confusion(PREDICTIONS, at)
    classes = range(SPACE.num_classes[at])
    levels = np.clip(PREDICTIONS.level[:, at], 0, SPACE.num_classes[at] - 1)
    np.testing.assert_array_equal(found.counts, confusion_matrix(PREDICTIONS.true_level[:, at], levels, labels=classes))
    assert len(found.names) == len(classes)
    pairs = np.zeros_like(found.counts)
    np.add.at(pairs, (found.true, found.predicted), 1)
    np.testing.assert_array_equal(pairs, found.counts)


def test_a_fine_grid_of_classes_is_merged_without_losing_a_sample():
    space = ParameterSpace([ParameterSpec(name="fine", min=0, max=100, step=0.5)])
    one = make_predictions(300, space)
    found = panels.confusion(one, 0)
    assert found.counts.shape == (panels.MOST_BINS,) * 2 and found.counts.sum() == 300
    for name, which in zip(found.names, range(panels.MOST_BINS), strict=True):
        low, high = map(float, name.split(".."))
        inside = one.truth[found.true == which, 0]
        assert ((inside >= low - 0.26) & (inside <= high + 0.26)).all()  # half a step beside the classes' values


def test_errors_by_value_are_means_of_the_parts_of_the_range():
    rows = panels.errors_by_value(PREDICTIONS, 0)
    edges = np.geomspace(100, 4000, 13)  # the parameter's scale is logarithmic
    truth, error = PREDICTIONS.truth[:, 0], (PREDICTIONS.value - PREDICTIONS.truth)[:, 0]
    assert sum(count for *_, count in rows) == 400
    for middle, mean, absolute, count in rows:
        at = np.searchsorted(edges, middle) - 1
        inside = error[(truth >= edges[at]) & (truth < edges[at + 1])]
        assert count == len(inside) and mean == pytest.approx(inside.mean())
        assert absolute == pytest.approx(np.abs(inside).mean())
        assert middle == pytest.approx(np.sqrt(edges[at] * edges[at + 1]))


def test_reliability_and_pit_of_right_uncertainties_are_even():
    many = make_predictions(20_000)
    for stated, actual, count in panels.reliability(many, 1):
        assert count == 20_000 and actual == pytest.approx(stated, abs=0.02)  # five standard deviations
    counts = np.array(panels.pit_counts(many)[1])
    assert counts.sum() == 20_000 and stats.chisquare(counts).pvalue > 1e-4
    ((stated, actual, count),) = panels.reliability(many, 2)
    assert stated == pytest.approx(0.9) and actual == pytest.approx(0.9, abs=0.02) and count == 20_000


def test_pit_of_too_small_uncertainties_is_full_at_its_ends():
    small = make_predictions(2_000)
    small.sd[:, 1] /= 4
    counts = panels.pit_counts(small)[1]
    expected = 2_000 * stats.norm.cdf(stats.norm.ppf(0.05) / 4)  # beyond the same error
    assert counts[0] > 5 * 2_000 / 20 and counts[0] == pytest.approx(expected, rel=0.2)


def test_heads_without_uncertainties_have_neither():
    none = make_predictions(20)
    none.sd[:] = np.nan
    assert not panels.reliability(none, 0) and not panels.pit_counts(none)[0]
    assert not panels.pit_counts(make_predictions(20))[2] and SD > 0
