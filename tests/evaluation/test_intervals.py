"""Intervals against scipy, against what they promise, and the digits that follow from them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from src.evaluation.intervals import (
    interval,
    proportion_interval,
    resampled_means,
    rounded,
    significant,
    written_estimate,
    written_interval,
)


def test_intervals_of_a_mean_and_of_a_ratio_are_scipys_bootstrap():
    """Both draw at random: an end of 2,000 draws is known to about 3 % of the width, 4 standard deviations are 12 %."""
    rng = np.random.default_rng(3)
    errors, baseline = rng.exponential(2.0, 1638), rng.uniform(0, 9, 1638)
    resampled = resampled_means(np.column_stack([errors, baseline]))
    for ours, statistic in (
        (resampled[:, 0], lambda a, b, axis: a.mean(axis=axis)),
        (resampled[:, 0] / resampled[:, 1], lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis)),
    ):
        theirs = stats.bootstrap(
            (errors, baseline), statistic, paired=True, n_resamples=9999, method="percentile", rng=4
        ).confidence_interval
        found = interval(ours, 1638)
        assert found == pytest.approx((theirs.low, theirs.high), abs=0.12 * (theirs.high - theirs.low))


@pytest.mark.parametrize("count", [2001, 2002, 5000, 123_457])
def test_a_large_split_is_drawn_in_groups_which_changes_no_interval(count):
    values = np.random.default_rng(count).exponential(1.0, count)
    low, high = interval(resampled_means(values[:, None])[:, 0], count)
    half = 1.96 * values.std() / math.sqrt(count)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.15 * half)


@pytest.mark.parametrize("count", [26, 102])
def test_95_percent_intervals_of_few_sounds_hold_the_mean_about_as_often(count):
    """Exponential errors, 2,000 splits: plain percentiles hold it 91 % of the time for 26 sounds."""
    rng = np.random.default_rng(5)
    draws = resampled_means(rng.exponential(1.0, (count, 2000)))
    held = [low <= 1.0 <= high for low, high in (interval(column, count) for column in draws.T)]
    assert 0.92 < np.mean(held) < 0.97


def test_the_same_sounds_have_the_same_interval():
    values = np.random.default_rng(6).normal(size=(200, 3))
    assert np.array_equal(resampled_means(values), resampled_means(values.copy()))
    np.testing.assert_allclose(resampled_means(values)[:, 1], resampled_means(values[:, 1:2])[:, 0], rtol=1e-12)


def test_one_sound_and_a_network_that_diverged_have_no_interval():
    assert interval(resampled_means(np.array([[2.0]]))[:, 0], 1) is None
    assert interval(resampled_means(np.full((9, 1), np.nan))[:, 0], 9) is None


@pytest.mark.parametrize(("hits", "count"), [(0, 26), (26, 26), (13, 26), (1433, 1638), (1638, 1638), (1, 1)])
def test_shares_have_scipys_wilson_interval(hits, count):
    theirs = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert proportion_interval(hits, count) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(
    ("value", "known", "figure", "ends"),
    [
        (3.597, (3.44, 3.75), "3.6", "3.4..3.8"),
        (3.597, (3.55, 3.64), "3.60", "3.55..3.64"),
        (5.31, (3.93, 6.87), "5.3", "3.9..6.9"),  # 26 sounds: two digits
        (12.53, (9.1, 16.2), "13", "9..16"),
        (446.9, (431.1, 462.8), "450", "430..460"),
        (0.002368, (0.00226, 0.00248), "0.0024", "0.0023..0.0025"),
        (99.97, (99.85, 100.0), "99.97", "99.85..100.00"),
        (1638.0, (1600.0, 1700.0), "1640", "1600..1700"),
        (2.31e-6, (2.2e-6, 2.4e-6), "2.3e-06", "2.2e-06..2.4e-06"),
        (1.5e9, (1.4e9, 1.6e9), "1.5e+09", "1.4e+09..1.6e+09"),
        (0.0, (0.0, 0.0), "0", "0..0"),
        (0.123456, None, "0.12", "-"),
        (None, None, "-", "-"),
        (math.nan, None, "nan", "-"),
    ],
)
def test_digits_follow_from_the_interval(value, known, figure, ends):
    assert (rounded(value, known), written_interval(value, known)) == (figure, ends)


def test_an_accuracy_of_few_sounds_has_no_second_digit():
    assert rounded(3.846, (0.7, 18.9), least=0) == "4"
    assert written_interval(3.846, (0.7, 18.9), least=0) == "1..19"
    assert rounded(100.0, (99.8, 100.0), least=0) == "100.0"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (449.6, 2, "450"),
        (12345.678, 4, "12350"),
        (-7.5, 4, "-7.5"),
        (0.0, 2, "0"),
        (0.000123456, 2, "0.00012"),
        (9.996, 3, "10"),
        (1.5e12, 2, "1.5e+12"),
        (math.nan, 2, "nan"),
    ],
)
def test_significant_digits_need_no_exponent(value, digits, text):
    assert significant(value, digits) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "ratio", "text"),
    [
        (107.43, 101.24, 111.87, False, "107 [101, 112]"),
        (107.43, 106.24, 108.67, False, "107.4 [106.2, 108.7]"),
        (1234.0, 834.0, 1634.0, False, "1200 [800, 1600]"),
        (-0.0004, -0.05, 0.05, False, "0.00 [-0.05, 0.05]"),
        (0.1234, 0.1234, 0.1234, False, "0.1234 [0.1234, 0.1234]"),
        (200.4, 20.2, 1999.0, True, "200 [20, 2000]"),
        (200.4, 198.2, 202.9, True, "200.4 [198.2, 202.9]"),
        (7.12345, math.nan, math.nan, False, "7.123 "),
    ],
)
def test_a_value_has_the_digits_that_its_interval_leaves(value, low, high, ratio, text):
    assert " ".join(written_estimate(value, low, high, ratio)) == text


@given(value=st.floats(-1e6, 1e6), below=st.floats(1e-3, 1e6), above=st.floats(1e-3, 1e6))
def test_rounding_moves_an_end_by_at_most_a_sixth_of_half_the_width(value, below, above):
    ends = value - below, value + above
    _, text = written_estimate(value, *ends)
    shown = [float(end) for end in text.strip("[]").split(", ")]
    np.testing.assert_allclose(shown, ends, rtol=0, atol=1.001 * (below + above) / 12)


@given(low=st.floats(1e-3, 1e4), ratio=st.floats(1.001, 1e3))
def test_on_a_log_scale_rounding_moves_an_end_by_a_sixth_of_the_ratio_or_the_third_digit(low, ratio):
    ends = low, low * ratio
    _, text = written_estimate(low * ratio**0.5, *ends, is_ratio=True)
    shown = [float(end) for end in text.strip("[]").split(", ")]
    np.testing.assert_allclose(shown, ends, rtol=1.001 * min(0.05, (ratio**0.5 - 1) / 6))
