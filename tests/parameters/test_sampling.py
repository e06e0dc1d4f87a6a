"""Sampling is a pure function of (seed, index), and uniform."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from src.parameters.sampling import grid_classes, random_points, shuffled, sobol_points
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests.synth.references import repeatable


@pytest.fixture(autouse=True)
def _allow_any_sobol_count():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The balance properties of Sobol")
        yield


SPACE = ParameterSpace(
    [
        ParameterSpec(name="velocity", min=64, max=127, step=7),
        ParameterSpec(name="cutoff", min=20, max=2000, step=20, scale="log"),
        ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
        ParameterSpec(name="note", min=60, max=60),
        ParameterSpec(name="octave", min=-2, max=2, step=1, kind="ordinal"),
        ParameterSpec(name="decay", min=-1, max=0, step=0.25),
    ]
)


@pytest.mark.parametrize("mode", ["random", "sobol", "grid"])
@repeatable
@given(
    cuts=st.lists(st.integers(0, 200), max_size=4),
    seed=st.integers(0, 2**63),
    start=st.one_of(st.integers(0, 3), st.integers(0, 10**7)),
)
def test_any_split_into_shards_gives_the_same_rows(mode, cuts, seed, start):
    whole = SPACE.sample(seed, start, 200, mode)
    edges = [0, *sorted(cuts), 200]
    shards = [SPACE.sample(seed, start + a, b - a, mode) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(shards), whole)
    np.testing.assert_array_equal(SPACE.sample(seed, start + 7, mode=mode), whole[7])


def test_random_points_match_one_philox_stream():
    """Philox counters run on, so one stream of blocks of four words is the reference for every index."""
    stream = np.random.Generator(np.random.Philox(key=5)).random((50, 8))
    np.testing.assert_array_equal(random_points(6, 5, 0, 50), stream[:, :6])
    np.testing.assert_array_equal(random_points(6, 5, 49, 1), stream[49:, :6])


def test_sobol_points_match_scipy():
    from scipy.stats import qmc

    expected = qmc.Sobol(4, scramble=True, bits=32, rng=np.random.default_rng(3)).random(256)
    np.testing.assert_array_equal(sobol_points(4, 3, 0, 256), expected)
    np.testing.assert_array_equal(sobol_points(4, 3, 100, 56), expected[100:156])


def test_sobol_fills_every_cell_once():
    """Of 256 points of a (t, m, s)-net in base 2, each of 256 slices of an axis holds one."""
    for column in sobol_points(5, 0, 0, 256).T:
        np.testing.assert_array_equal(np.sort((column * 256).astype(int)), np.arange(256))


@pytest.mark.parametrize("mode", ["random", "sobol"])
def test_seeds_differ_and_repeat(mode):
    rows = [SPACE.sample(seed, 0, 64, mode) for seed in (0, 1, 2, 0)]
    np.testing.assert_array_equal(rows[0], rows[3])
    assert len(np.unique(np.concatenate(rows[:3])[:, 0])) == 192


def test_seeds_are_independent_of_each_other():
    a, b = (random_points(1, seed, 0, 20_000)[:, 0] for seed in (1, 2))
    shifted = [np.corrcoef(a[lag:], b[: len(b) - lag])[0, 1] for lag in range(4)]
    assert np.all(np.abs(shifted) < 4 / np.sqrt(20_000))


@pytest.mark.parametrize("num_dims", [1, 3, 6])
def test_random_points_are_uniform_and_uncorrelated(num_dims):
    points = random_points(num_dims, 7, 1000, 20_000)
    assert np.all((points >= 0) & (points < 1))
    for column in points.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < 4 / np.sqrt(20_000)
    off_diagonal = np.corrcoef(points.T) - np.eye(num_dims)
    assert np.all(np.abs(off_diagonal) < 4 / np.sqrt(20_000))


@pytest.mark.parametrize("mode", ["random", "sobol"])
def test_samples_are_uniform_on_their_own_scale(mode):
    values = SPACE.sample(11, 0, 20_000, mode).astype(float)
    assert stats.kstest(values[:, 0], stats.uniform(64, 63).cdf).pvalue > 1e-3
    assert stats.kstest(values[:, 1], stats.loguniform(20, 2000).cdf).pvalue > 1e-3
    assert stats.kstest(values[:, 4], stats.uniform(-1, 1).cdf).pvalue > 1e-3


@pytest.mark.parametrize("mode", ["random", "sobol"])
def test_categorical_and_ordinal_samples_are_uniform_over_their_classes(mode):
    values = SPACE.sample(11, 0, 20_000, mode)
    for column, levels in ((2, [0, 1, 2, 3]), (3, [-2, -1, 0, 1, 2])):
        found, counts = np.unique(values[:, column], return_counts=True)
        np.testing.assert_array_equal(found, levels)
        assert stats.chisquare(counts).pvalue > 1e-3


def test_samples_are_float32_within_the_range():
    for mode in ("random", "sobol", "grid"):
        values = SPACE.sample(0, 0, 1000, mode)
        assert values.dtype == np.float32 and values.shape == (1000, 5)
        assert np.all((values >= SPACE.min.astype(np.float32)) & (values <= SPACE.max.astype(np.float32)))


def test_grid_visits_every_combination_once_last_fastest():
    total = int(np.prod(SPACE.num_classes))
    classes = SPACE.to_class(SPACE.sample(0, 0, total, "grid"))
    expected = np.stack(np.unravel_index(np.arange(total), SPACE.num_classes), axis=1)
    np.testing.assert_array_equal(classes, expected)
    assert len(np.unique(classes, axis=0)) == total


def test_grid_begins_again_when_it_is_through():
    np.testing.assert_array_equal(grid_classes([2, 3], 4, 4), [[1, 1], [1, 2], [0, 0], [0, 1]])


def test_grid_ignores_the_seed():
    np.testing.assert_array_equal(SPACE.sample(0, 3, 20, "grid"), SPACE.sample(9, 3, 20, "grid"))


def test_unknown_mode_names_the_modes():
    with pytest.raises(UserError, match=r"^sampling: 'sobel' given; give one of random, sobol, grid$"):
        SPACE.sample(0, 0, 4, "sobel")


DISCRETE = ParameterSpace(
    [
        ParameterSpec(name="wave", values=["sine", "square", "saw"]),
        ParameterSpec(name="octave", min=-2, max=2, step=1, kind="ordinal"),
        ParameterSpec(name="note", min=60, max=60),
    ]
)


@repeatable
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**64 - 1))
def test_an_order_holds_every_number_once_and_begins_again(size, seed):
    order = shuffled(size, seed, 0, size)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))
    np.testing.assert_array_equal(shuffled(size, seed, size, size), order)


@pytest.mark.parametrize("size", [2**61 + 1, 2**62])
def test_an_order_of_many_numbers_is_computed_place_by_place(size):
    order = shuffled(size, 3, 10**12, 5000)
    assert len(np.unique(order)) == 5000 and order.min() >= 0 and order.max() < size
    assert shuffled(size, 3, 10**12 + 77, 1)[0] == order[77]
    assert stats.kstest(order / size, "uniform").pvalue > 1e-4


@pytest.mark.long
def test_orders_differ_by_seed_and_are_no_pattern():
    """Every number is as likely at every place: a chi-squared test, 25 of whose 36 counts are free."""
    orders = np.stack([shuffled(6, seed, 0, 6) for seed in range(2000)])
    counts = np.stack([np.bincount(column, minlength=6) for column in orders.T])
    expected = len(orders) / 6
    assert stats.chi2.sf(np.sum((counts - expected) ** 2 / expected), 25) > 1e-4
    assert len(np.unique(orders, axis=0)) > 600  # of 720; 675 are expected


def test_a_space_without_a_continuous_parameter_is_drawn_without_repetition():
    assert DISCRETE.num_combinations == 15 and SPACE.num_combinations is None
    values = DISCRETE.sample(4, 0, 15)
    assert len(np.unique(values, axis=0)) == 15
    np.testing.assert_array_equal(DISCRETE.sample(4, 15, 15), values)
    assert (DISCRETE.sample(5, 0, 15) != values).any()


@repeatable
@given(cuts=st.lists(st.integers(0, 40), max_size=4), seed=st.integers(0, 2**63), start=st.integers(0, 10**7))
def test_any_split_of_a_discrete_space_gives_the_same_rows(cuts, seed, start):
    whole = DISCRETE.sample(seed, start, 40)
    edges = [0, *sorted(cuts), 40]
    shards = [DISCRETE.sample(seed, start + a, b - a) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(shards), whole)


def test_a_space_of_more_combinations_than_are_ordered_is_drawn_independently():
    space = ParameterSpace(
        [ParameterSpec(name=f"p{at}", min=0, max=2**16 - 1, kind="ordinal", step=1) for at in range(5)]
    )
    assert space.num_combinations is None
    assert len(np.unique(space.sample(0, 0, 5000), axis=0)) == 5000
