"""Bins of a parameter's values: their names and their middles."""

import numpy as np
import pytest

from src.evaluation.reports.parameter_data import bin_names, value_bins
from src.parameters.spec import ParameterSpec

LETTERS = ParameterSpec(name="letter", values=tuple("abcdefg"))


@pytest.mark.parametrize("bins", [1, 2, 3, 7])
def test_bins_of_categories_bear_their_names(bins):
    classes = np.arange(LETTERS.num_classes)
    expected = []
    for which in range(bins):
        inside = [LETTERS.values[at] for at in classes[classes * bins // LETTERS.num_classes == which]]
        expected.append(inside[0] if len(inside) == 1 else f"{inside[0]}..{inside[-1]}")
    assert list(bin_names(LETTERS, bins)) == expected


@pytest.mark.parametrize(("scale", "spaced"), [("lin", np.linspace), ("log", np.geomspace)])
def test_values_are_nearest_to_the_middle_of_their_bin(scale, spaced):
    spec = ParameterSpec(name="a", min=1, max=100, scale=scale)
    edges = spaced(1, 100, 13)
    values = np.random.default_rng(0).uniform(1, 100, 500)
    bins, middles = value_bins(spec, values)
    np.testing.assert_array_equal(bins, np.digitize(values, edges) - 1)
    mean = np.sqrt(edges[:-1] * edges[1:]) if scale == "log" else (edges[:-1] + edges[1:]) / 2
    np.testing.assert_allclose(middles, mean)
