"""Splits: the published algorithm, whole groups, and the shares that are asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from src.data.build.splits import fold_splits, levels, stratify
from src.data.groups import joined_groups
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

SHARES = (0.8, 0.1, 0.1)


def sechidis(labels, groups, shares, seed):
    """Return the part of each sample by the paper's steps, with dense counts and no bookkeeping between them.

    Ties are broken as in the code: the first level, larger groups, then random order, and the first part.
    """
    _, unit = np.unique(groups, return_inverse=True)
    onehot = np.concatenate([column[:, None] == np.arange(column.max() + 1) for column in labels.T], axis=1).astype(int)
    held = np.stack([onehot[unit == number].sum(axis=0) for number in range(unit.max() + 1)])
    sizes = np.bincount(unit)
    order = list(np.random.Generator(np.random.Philox(key=seed)).permutation(len(sizes)))
    part = np.full(len(sizes), -1)
    while (part < 0).any():
        left = held[part < 0].sum(axis=0)
        rarest = np.where(left > 0, left, 10**9).argmin()
        members = [one for one in np.flatnonzero(part < 0) if held[one, rarest]]
        for one in sorted(members, key=lambda one: (-held[one, rarest], order.index(one))):
            lacking = []
            for number, share in enumerate(shares):
                mine = part == number
                lack = share * held[:, rarest].sum() - held[mine, rarest].sum()
                lacking.append((round(lack, 9), round(share * sizes.sum() - sizes[mine].sum(), 9)))
            part[one] = max(range(len(shares)), key=lambda number: lacking[number])
    return part[unit]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("grouped", [False, True])
def test_it_is_iterative_stratification(seed, grouped):
    draw = np.random.default_rng(seed)
    labels = np.stack([draw.integers(0, classes, 90) for classes in (2, 5, 7)], axis=1)
    groups = draw.integers(0, 30, 90) if grouped else np.arange(90)
    shares = (0.5, 0.25, 0.25)  # exact in binary, so that ties are ties in both
    np.testing.assert_array_equal(stratify(labels, groups, shares, seed), sechidis(labels, groups, shares, seed))


def mean_error(labels, part, shares):
    """Return how far the number of a level in a part is from its share on average, in samples."""
    errors = []
    for column in labels.T:
        sizes = np.bincount(column)
        for number, share in enumerate(shares):
            errors.append(np.abs(np.bincount(column[part == number], minlength=len(sizes)) - share * sizes).mean())
    return np.mean(errors)


def of_iterative_stratification(labels, folds, seed):
    """Return the parts that the package iterative-stratification gives."""
    held = np.concatenate([column[:, None] == np.arange(column.max() + 1) for column in labels.T], axis=1)
    part = np.empty(len(labels), np.int64)
    splitter = MultilabelStratifiedKFold(folds, shuffle=True, random_state=seed)
    for number, (_, members) in enumerate(splitter.split(held, held.astype(int))):
        part[members] = number
    return part


@pytest.mark.parametrize("skewed", [False, True])
def test_levels_are_as_even_as_those_of_iterative_stratification_and_more_than_by_chance(skewed):
    folds, found = 10, []
    shares = (1 / folds,) * folds
    for seed in range(3):
        draw = np.random.default_rng(seed)
        labels = (draw.random((2000, 4)) ** (3 if skewed else 1) * [6, 11, 16, 10]).astype(int)
        parts = (
            stratify(labels, np.arange(2000), shares, seed),
            of_iterative_stratification(labels, folds, seed),
            draw.permutation(2000) % folds,
        )
        found.append([mean_error(labels, part, shares) for part in parts])
    ours, theirs, chance = np.mean(found, axis=0)
    assert ours < 1.2 * theirs  # it is 0.98 and 1.09 of it, as ties are broken at random
    assert ours < 0.6 * chance


@given(st.integers(0, 2**64 - 1), st.integers(10, 60), st.integers(0, 3), st.integers(3, 30))
def test_groups_are_whole_and_every_sample_has_a_part(seed, count, parameters, different):
    draw = np.random.default_rng(seed % 2**32)
    labels, groups = draw.integers(0, 4, (count, parameters)), draw.integers(0, different, count)
    part = stratify(labels, groups, SHARES, seed)
    assert part.shape == (count,) and part.max() <= 2
    for group in np.unique(groups):
        assert len(np.unique(part[groups == group])) == 1
    np.testing.assert_array_equal(part, stratify(labels, groups, SHARES, seed))


@given(st.integers(10, 500), st.integers(0, 100))
def test_without_levels_and_groups_the_shares_are_exact(count, seed):
    part = stratify(np.empty((count, 0), np.int64), np.arange(count), SHARES, seed)
    assert np.abs(np.bincount(part, minlength=3) - count * np.array(SHARES)).max() < 1


@given(st.integers(3, 7), st.integers(0, 50))
def test_each_sample_is_once_in_test_and_once_in_val(folds, seed):
    parts = stratify(np.empty((100, 0), np.int64), np.arange(100), (1 / folds,) * folds, seed)
    splits = np.stack([fold_splits(parts, folds, fold) for fold in range(folds)])
    assert ((splits == 2).sum(axis=0) == 1).all() and ((splits == 1).sum(axis=0) == 1).all()


def test_levels_are_classes_or_equal_parts_of_a_range():
    space = ParameterSpace(
        [
            ParameterSpec(name="cutoff", min=100, max=1600, num_classes=64, scale="log"),
            ParameterSpec(name="decay", min=0, max=1, step=0.25),
            ParameterSpec(name="wave", values=["a", "b", "c"]),
            ParameterSpec(name="octave", min=0, max=31, step=1, kind="ordinal"),
        ]
    )
    values = np.array([[100, 0, 0, 0], [399, 0.19, 1, 1], [401, 0.21, 2, 2], [1600, 1, 2, 31]], np.float32)
    found, counts = levels(space, values, 4)
    assert counts.tolist() == [4, 4, 3, 4]
    assert found.tolist() == [[0, 0, 0, 0], [1, 0, 1, 0], [2, 0, 2, 0], [3, 3, 2, 3]]


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abcdef")), min_size=1, max_size=40))
def test_groups_join_by_way_of_others(pairs):
    keys = [np.array([pair[0] for pair in pairs]), [pair[1] for pair in pairs]]
    found = joined_groups(*keys)
    parent = list(range(len(pairs)))
    for _ in pairs:  # as many rounds as are needed at most
        for one in range(len(pairs)):
            for other in range(len(pairs)):
                if pairs[one][0] == pairs[other][0] or pairs[one][1] == pairs[other][1]:
                    parent[one] = parent[other] = min(parent[one], parent[other])
    np.testing.assert_array_equal(found[:, None] == found, np.equal.outer(parent, parent))
