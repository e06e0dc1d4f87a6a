"""Balancing: the counts of every cell, whichever way they are reached."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.build.balance import (
    categories_alike,
    cells_of,
    close_pairs,
    draw_missing,
    oversample,
    undersample,
)
from src.data.build.filter import matches
from src.data.overlap import hash_rows
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError

SPACE = ParameterSpace(
    [
        ParameterSpec(name="cutoff", min=100, max=1600, num_classes=64, scale="log"),
        ParameterSpec(name="decay", min=0, max=1, step=0.05),
        ParameterSpec(name="wave", values=["sine", "saw", "noise"]),
        ParameterSpec(name="octave", min=-2, max=2, step=1, kind="ordinal"),
    ]
)
CELLS = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(np.array)
COUNT = st.none() | st.integers(1, 30)


@given(CELLS, COUNT, st.integers(0, 9))
def test_undersampling_keeps_at_most_that_many_of_each_cell_and_none_twice(cell, count, seed):
    kept = undersample(cell, count, seed)
    sizes = Counter(cell.tolist())
    target = min(sizes.values()) if count is None else count
    assert len(set(kept.tolist())) == len(kept) and (np.diff(kept) > 0).all()
    assert Counter(cell[kept].tolist()) == {at: min(size, target) for at, size in sizes.items()}


@given(CELLS, COUNT, st.integers(0, 9))
def test_oversampling_repeats_all_of_a_cell_equally_often_or_once_more(cell, count, seed):
    repeated = oversample(cell, count, seed)
    sizes = Counter(cell.tolist())
    target = max(sizes.values()) if count is None else count
    total = Counter(cell.tolist()) + Counter(cell[repeated].tolist())
    assert total == {at: max(size, target) for at, size in sizes.items()}
    for number in sizes:
        times = [np.count_nonzero(repeated == row) for row in np.flatnonzero(cell == number)]
        assert max(times) - min(times) <= 1


@given(st.integers(0, 99), COUNT)
def test_pairs_lie_in_one_cell_and_share_their_categories(seed, count):
    values = SPACE.sample(seed, 0, 80)
    cell, _ = cells_of(SPACE, values, ["decay"], 4)
    alike = categories_alike(SPACE, values)
    pairs = close_pairs(cell, SPACE.normalize(values), alike, count, seed)
    assert (cell[pairs[:, 0]] == cell[pairs[:, 1]]).all() and (pairs[:, 0] != pairs[:, 1]).all()
    np.testing.assert_array_equal(values[pairs[:, 0], 2:], values[pairs[:, 1], 2:])
    assert len({frozenset(pair) for pair in pairs.tolist()}) == len(pairs)
    sizes, target = np.bincount(cell), np.bincount(cell).max() if count is None else count
    for number, size in enumerate(sizes):
        rows = np.flatnonzero(cell == number)
        groups = Counter(alike[rows].tolist())
        possible = sum(size * (size - 1) // 2 for size in groups.values())
        assert np.count_nonzero(cell[pairs[:, 0]] == number) == min(max(0, target - size), possible)


def test_the_closest_pairs_are_taken():
    unit = np.array([[0.0], [0.5], [0.51], [0.9]])
    pairs = close_pairs(np.zeros(4, int), unit, np.zeros(4, int), 6, 0)
    assert [set(pair) for pair in pairs.tolist()] == [{1, 2}, {2, 3}]


@pytest.mark.parametrize("by", [["decay"], ["cutoff", "wave"], ["octave", "decay"]])
@pytest.mark.parametrize("conditions", [{}, {"cutoff": [300, 800], "wave": ["saw", "noise"], "octave": [-1, 1]}])
def test_drawn_labels_fill_every_allowed_cell(by, conditions):
    values = SPACE.sample(1, 0, 200)
    values = values[matches(SPACE, values, conditions)]
    drawn = draw_missing(SPACE, values, by, 4, 30, conditions, hash_rows(values), 0)
    assert matches(SPACE, drawn, conditions).all()
    assert len(np.unique(np.concatenate([values, drawn]), axis=0)) == len(values) + len(drawn)
    cell, shape = cells_of(SPACE, np.concatenate([values, drawn]), by, 4)
    sizes = np.bincount(cell, minlength=np.prod(shape))
    allowed = cells_of(SPACE, SPACE.sample(2, 0, 20000)[matches(SPACE, SPACE.sample(2, 0, 20000), conditions)], by, 4)[
        0
    ]
    before = np.bincount(cells_of(SPACE, values, by, 4)[0], minlength=len(sizes))
    assert sizes[np.unique(allowed)].tolist() == np.maximum(30, before[np.unique(allowed)]).tolist()
    assert not sizes[np.setdiff1d(np.arange(len(sizes)), allowed)].any()


def test_no_combination_of_classes_is_drawn_twice_or_if_it_is_taken():
    space = ParameterSpace(SPACE.varying[2:])
    values = space.sample(0, 0, 5)
    drawn = draw_missing(space, values, ["wave"], 16, 100, {}, hash_rows(values), 0)
    together = np.concatenate([values, drawn])
    assert len(together) == len(np.unique(together, axis=0)) == 15  # all there are


def test_too_many_cells_are_one_line():
    space = ParameterSpace([ParameterSpec(name=name, min=0, max=1, step=0.01) for name in "abcd"])
    with pytest.raises(UserError, match=r"balance\.by: a, b, c, d have more than 1,048,576 cells"):
        cells_of(space, space.sample(0, 0, 3), list("abcd"), 100)
