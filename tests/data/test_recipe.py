"""What decides a dataset's bytes: sizes of splits, places of samples, names, and one-line refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from src.data.recipe import SPLITS, DatasetConfig, parse_recipe
from src.utils.errors import UserError
from tests.data.conftest import tiny_config, tiny_recipe

fractions = st.floats(0.001, 0.499)


@settings(database=None, deadline=None, derandomize=True)
@given(size=st.integers(3, 5000), val=fractions, test=fractions)
def test_counts_cover_the_size_and_no_split_is_empty(size, val, test):
    try:
        counts = DatasetConfig(size=size, val_fraction=val, test_fraction=test).counts
    except ValidationError as error:
        assert "train" in str(error) and round(size * val) + round(size * test) >= size
        return
    assert sum(counts.values()) == size and min(counts.values()) >= 1
    assert abs(counts["val"] - size * val) <= 1 and abs(counts["test"] - size * test) <= 1


@pytest.mark.parametrize(("size", "counts"), [(16384, (13108, 1638, 1638)), (256, (204, 26, 26)), (3, (1, 1, 1))])
def test_80_10_10_by_default(size, counts):
    assert tuple(DatasetConfig(size=size).counts.values()) == counts


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("sampling", ["random", "sobol", "grid"])
@pytest.mark.parametrize("size", [3, 64, 257])
def test_place_puts_every_sample_in_one_row_of_one_split(sampling, shuffle, size):
    recipe = tiny_recipe(**{"dataset.size": size, "dataset.sampling": sampling, "dataset.shuffle": shuffle})
    split, row = recipe.place()
    assert len(split) == len(row) == size
    for number, name in enumerate(SPLITS):
        assert sorted(row[split == number]) == list(range(recipe.dataset.counts[name]))


def place(**changes):
    return tiny_recipe(**{f"dataset.{key}": value for key, value in changes.items()}).place()


def test_random_samples_are_placed_in_order():
    split, row = place(size=100)
    assert (np.diff(split.astype(int)) >= 0).all()
    assert row.tolist() == [*range(80), *range(10), *range(10)]


@pytest.mark.parametrize("sampling", ["sobol", "grid"])
def test_ordered_samplings_are_drawn_into_splits_and_keep_their_order_there(sampling):
    split, row = place(size=1000, sampling=sampling)
    held_out = np.flatnonzero(split > 0)
    assert held_out.min() < 100 and held_out.max() > 900  # from everywhere, not from the end
    for number in range(3):
        assert (np.diff(row[split == number]) == 1).all()


def test_shuffle_orders_rows_by_the_seed():
    assert (np.diff(place(size=100, shuffle=True)[1]) != 1).sum() > 50
    np.testing.assert_array_equal(place(size=100, shuffle=True), place(size=100, shuffle=True))
    assert (place(size=100, shuffle=True)[1] != place(size=100, shuffle=True, seed=1)[1]).any()


def test_systematic_is_the_ancestors_word_for_grid():
    assert DatasetConfig(size=10, sampling="systematic").sampling == "grid"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"dataset.size": 2}, ["dataset.size: 2 given", "3"]),
        ({"dataset.size": "many"}, ["dataset.size: 'many' given", "whole number"]),
        ({"dataset.seed": -1}, ["dataset.seed: -1 given", "0"]),
        ({"dataset.sampling": "lhs"}, ["dataset.sampling: 'lhs' given", "'random', 'sobol' or 'grid'"]),
        ({"dataset.val_fraction": 0.5}, ["dataset.val_fraction: 0.5 given", "0.5"]),
        ({"dataset.test_fraction": float("nan")}, ["dataset.test_fraction: nan given", "finite"]),
        ({"dataset.name": "../other"}, ["dataset.name: '../other' given"]),
        ({"dataset.sise": 3}, ["dataset.sise: 3 given", "no such key"]),
        ({"dataset.size": 4, "dataset.val_fraction": 0.4, "dataset.test_fraction": 0.4}, ["4 clips", "train"]),
        ({"spectral.height": 41}, ["spectral: height 41", "40"]),
        ({"spectral.hop_length": 0}, ["spectral: hop_length 0", "auto"]),
        ({"synth.sample_rate": 10}, ["synth.sample_rate: 10 given", "1,000"]),
        ({"dataset.name": "x" * 5000 + "/"}, ["dataset.name", "..."]),
    ],
)
def test_a_fault_is_one_line_naming_key_value_and_what_is_allowed(changes, parts):
    with pytest.raises(UserError) as error:
        parse_recipe(tiny_config(**changes))
    text = str(error.value)
    assert all(part in text for part in parts), text
    assert "\n" not in text and len(text) < 400


def test_many_faults_are_counted_not_listed():
    with pytest.raises(UserError, match=r"and 4 more$"):
        parse_recipe({**tiny_config(), **{f"group{number}": 1 for number in range(9)}})
