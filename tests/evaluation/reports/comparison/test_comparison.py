"""Paired comparisons: against scipy's tests, simulated methods without a difference, and cases that are known."""

import json

import numpy as np
import pytest
from scipy import stats

from src.evaluation.reports.comparison.comparison import ALL, compare, sound_errors
from src.evaluation.reports.comparison.paired_tests import holm
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests.evaluation.reports.predictions import predicted


def two_methods(random, count=300, ratio=0.9):
    """Return absolute errors (count, 1) of two methods that find the same sounds hard."""
    hard = random.gamma(1.0, size=(count, 1))
    first, second = (hard * np.abs(random.standard_normal((count, 1))) for _ in range(2))
    return first, ratio * second


def test_p_and_interval_are_those_of_a_paired_t_test():
    first, second = two_methods(np.random.default_rng(0))
    (row,) = compare({"a": [predicted(first)], "b": [predicted(second)]}).differences
    expected = stats.ttest_rel(second[:, 0], first[:, 0])
    known = expected.confidence_interval()
    assert row.difference == pytest.approx(second.mean() - first.mean())
    assert row.p == pytest.approx(expected.pvalue, abs=0.01)  # a bootstrap's standard error is known to 2 %
    assert row.interval == pytest.approx((known.low, known.high), abs=0.02 * (known.high - known.low))
    assert row.p == row.adjusted_p and not row.covers_seeds


def test_other_paired_tests_agree():
    first, second = two_methods(np.random.default_rng(5), ratio=0.8)
    (row,) = compare({"a": [predicted(first)], "b": [predicted(second)]}).differences

    def mean_difference(one, other, axis):
        return (one - other).mean(axis=axis)

    def log_ratio(one, other, axis):
        return np.log(one.mean(axis=axis) / other.mean(axis=axis))

    samples = second[:, 0], first[:, 0]
    options = {"permutation_type": "samples", "n_resamples": 4000, "rng": np.random.default_rng(0)}
    permutation = stats.permutation_test(samples, mean_difference, **options)
    assert row.p == pytest.approx(permutation.pvalue, abs=0.02)
    assert (row.p < 0.05) == (stats.wilcoxon(*samples).pvalue < 0.05)
    bca = stats.bootstrap(samples, log_ratio, paired=True, n_resamples=2000, rng=np.random.default_rng(0))
    expected = np.expm1(bca.confidence_interval)
    np.testing.assert_allclose(row.change_interval, expected, atol=0.1 * (expected[1] - expected[0]))
    assert row.change == pytest.approx(row.difference / first.mean())


def test_the_detectable_difference_is_found_in_80_percent_of_repetitions():
    random = np.random.default_rng(0)
    noise = random.standard_normal((200, 500))
    zeros, found = np.full((200, 500), 1.0), []
    comparison = compare({"a": [predicted(10 + zeros)], "b": [predicted(10 + noise)]})
    detectable = np.mean([row.detectable for row in comparison.differences if row.parameter != ALL])
    assert detectable == pytest.approx(2.8 / np.sqrt(200), rel=0.02)
    shifted = compare({"a": [predicted(10 + zeros)], "b": [predicted(10 + noise + 1 + detectable)]})
    found = [row.p < 0.05 for row in shifted.differences if row.parameter != ALL]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_identical_runs_differ_by_exactly_nothing():
    errors = np.random.default_rng(0).standard_normal((500, 3))
    comparison = compare({"a": [predicted(errors)], "b": [predicted(errors.copy())]})
    for row in comparison.differences:
        assert (row.difference, row.change, row.p, row.adjusted_p, row.detectable) == (0, 0, 1, 1, 0)
        assert row.interval == row.change_interval == (0, 0)
        assert not row.is_significant


def test_identical_methods_with_seeds_differ_by_exactly_nothing():
    random = np.random.default_rng(0)
    runs = [predicted(random.standard_normal((50, 2))) for _ in range(3)]
    for row in compare({"a": runs, "b": runs}).differences:
        assert (row.difference, row.p, row.covers_seeds) == (0, 1, True)
        assert row.interval[0] == -row.interval[1]


def rejected(random, count, repetitions, seeds=1, seed_sd=0.0):
    """Return how many of the `repetitions`, a parameter each, find a difference at 5 % where there is none."""
    hard = random.gamma(1.0, size=(count, repetitions))
    methods = {}
    for name in "ab":
        runs = methods[name] = []
        for _ in range(seeds):
            luck = np.exp(seed_sd * random.standard_normal(repetitions))
            runs.append(predicted(hard * luck * random.standard_normal(hard.shape)))
    rows = compare(methods).differences
    return np.mean([row.p < 0.05 for row in rows if row.parameter != ALL])


@pytest.mark.long
@pytest.mark.parametrize("count", [100, 400])
def test_of_1000_methods_without_a_difference_5_percent_are_said_to_differ(count):
    assert rejected(np.random.default_rng(0), count, 1000) == pytest.approx(0.05, abs=0.015)


def test_of_300_methods_without_a_difference_5_percent_are_said_to_differ():
    assert rejected(np.random.default_rng(0), 100, 300) == pytest.approx(0.05, abs=0.03)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 0.05, 0.3])
def test_seeds_alone_are_rarely_taken_for_a_difference(seeds, seed_sd):
    """With so few seeds the test is cautious: it rejects less than 5 % if the seeds matter little."""
    assert 0.015 <= rejected(np.random.default_rng(0), 200, 1000, seeds, seed_sd) <= 0.065


@pytest.mark.long
def test_a_family_of_tests_is_rarely_wrong_at_all():
    random, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        hard = random.gamma(1.0, size=(100, 3))
        runs = {name: [predicted(hard * random.standard_normal(hard.shape))] for name in "abc"}
        wrong += any(row.is_significant for row in compare(runs).differences)
    assert wrong / 200 <= 0.08


def test_two_levels_have_the_variance_of_new_runs_and_new_sounds():
    """Its variance is that of the components with which the errors are drawn."""
    random = np.random.default_rng(1)
    count, seeds, repetitions = 100, 6, 400
    of_seeds, of_sounds, of_both = 0.2, 1.0, 0.5

    def run(sounds):
        own = of_seeds * random.standard_normal(repetitions) + of_both * random.standard_normal((count, repetitions))
        return predicted(20 + sounds + own)

    sounds = of_sounds * random.standard_normal((2, count, repetitions))
    comparison = compare({name: [run(sounds[at]) for _ in range(seeds)] for at, name in enumerate("ab")})
    rows = [row for row in comparison.differences if row.parameter != ALL]
    actual = np.var([row.difference for row in rows])
    expected = 2 * (of_seeds**2 / seeds + of_sounds**2 / count + of_both**2 / (seeds * count))
    inside = np.mean([row.interval[0] < 0 < row.interval[1] for row in rows])
    assert actual == pytest.approx(expected, rel=0.2)  # of 400 repetitions
    assert 0.93 <= inside <= 0.985


def test_both_spreads_are_told():
    random = np.random.default_rng(0)
    errors = [np.abs(scale + random.standard_normal((100, 1))) for scale in (20, 21, 23)]
    comparison = compare({"a": [predicted(one) for one in errors], "b": [predicted(errors[0])]})
    seeds, one = comparison.errors
    assert seeds.seed_sd == pytest.approx(np.std([one.mean() for one in errors], ddof=1))
    assert one.seed_sd is None
    assert one.sound_se == pytest.approx(errors[0].std(ddof=1) / 10, rel=0.05)
    assert seeds.interval[1] - seeds.interval[0] > 5 * (one.interval[1] - one.interval[0])
    assert comparison.differences[0].covers_seeds is False


def test_a_category_is_compared_by_its_percentage_of_wrong_predictions():
    random = np.random.default_rng(0)
    wave = ParameterSpec(name="wave", min=0, max=2, kind="categorical", values=("saw", "sine", "noise"))
    parameters = ParameterSpace([ParameterSpec(name="cutoff", min=0, max=4), wave])
    true = random.integers(3, size=(400, 2))
    zeros = np.zeros((400, 2))
    methods = {}
    for name, share in (("a", 0.3), ("b", 0.2)):
        level = np.where(random.random((400, 2)) < share, (true + 1) % 3, true)
        methods[name] = [predicted(zeros + 0.1, true.astype(float), parameters, (level, true))]
    comparison = compare(methods)
    wrong = {name: run.level[:, 1] != true[:, 1] for name, (run,) in methods.items()}
    assert comparison.error("a", "wave").error == pytest.approx(100 * wrong["a"].mean())
    assert [parameter.unit for parameter in comparison.parameters] == ["", "% wrong", "% of range"]
    row = comparison.of_pair("a", "b")[1]
    only_a, only_b = (wrong["a"] & ~wrong["b"]).sum(), (wrong["b"] & ~wrong["a"]).sum()
    mcnemar = stats.binomtest(int(only_a), int(only_a + only_b)).pvalue
    assert row.p == pytest.approx(mcnemar, abs=0.01)
    overall = sound_errors(methods["a"][0])[:, 2]
    np.testing.assert_allclose(overall, 50 * (0.1 / 4) + 50 * wrong["a"])


def test_holm_is_the_procedure_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1, 1])


def test_all_tests_of_the_comparison_are_corrected_together():
    random = np.random.default_rng(0)
    runs = {name: [predicted(random.standard_normal((100, 2)))] for name in "abc"}
    rows = compare(runs).differences
    assert len(rows) == 3 * 3  # pairs, and two parameters with their mean
    np.testing.assert_allclose([row.adjusted_p for row in rows], holm([row.p for row in rows]))
    rows = compare(runs, baseline="b").differences
    assert {(row.reference, row.method) for row in rows} == {("b", "a"), ("b", "c")}


def test_errors_of_zero_have_no_ratio():
    errors = np.random.default_rng(0).standard_normal((50, 1))
    rows = compare(
        {"a": [predicted(0 * errors)], "b": [predicted(errors)], "c": [predicted(0 * errors + 1)]}
    ).differences
    assert (rows[0].change, rows[0].change_interval) == (None, None)
    assert rows[0].is_significant
    assert (rows[1].p, rows[1].detectable) == (0, 0)  # 1 for each sound, without exception
    json.dumps(compare({"a": [predicted(errors)], "b": [predicted(0 * errors)]}).to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("methods", "baseline", "message"),
    [
        ({"a": 5}, None, "1 method given"),
        ({"a": 1, "b": 1}, None, "1 sound"),
        ({"first": 5, "b": 5}, "frist", "Did you mean 'first'"),
    ],
)
def test_faults_are_one_line(methods, baseline, message):
    runs = {name: [predicted(np.zeros((count, 1)))] for name, count in methods.items()}
    with pytest.raises(UserError, match=message):
        compare(runs, baseline)
