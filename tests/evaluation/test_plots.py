"""Pictures can be drawn of parameters of any kind and name."""

import io

import numpy as np

from src.evaluation.plots import error_figure, histogram_figure, scatter_figure
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests.evaluation.datasets import SPACE

NAMES = ["$\\frac$", "a$b", "<i>gain</i>", "gain[/]", "100 %", "{x}", "_a^b"]


def draw(figure):
    figure.set_layout_engine("none")  # takes most of the time, and no test looks at where things are
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def test_names_and_units_begin_no_formula():
    space = ParameterSpace([ParameterSpec(name=name, min=0, max=1, unit=name) for name in NAMES])
    values = space.sample(0, 0, 20).astype(float)
    draw(scatter_figure(space, values, values))
    draw(error_figure(space, values - values[::-1]))
    for name, axis in zip(NAMES, draw(histogram_figure(space, values)).axes, strict=False):
        assert axis.get_title() == name == axis.get_xlabel()


def test_a_category_has_a_table_of_answers_instead_of_dots():
    truth = SPACE.sample(0, 0, 50).astype(float)
    predicted = truth.copy()
    predicted[truth[:, 1] == 2, 1] = 0  # every third category is answered as the first
    axis = draw(scatter_figure(SPACE, truth, predicted)).axes[1]
    (image,) = axis.images
    expected = np.diag([1.0, 1.0, 0.0, 1.0])
    expected[0, 2] = 1.0
    np.testing.assert_array_equal(image.get_array(), expected)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "1", "2", "3"]


def test_thousands_of_categories_are_dots():
    space = ParameterSpace([ParameterSpec(name="wavetable", min=0, max=65535, kind="categorical")])
    values = space.sample(0, 0, 5).astype(float)
    axis = draw(scatter_figure(space, values, values)).axes[0]
    assert not axis.images and len(axis.collections[0].get_offsets()) == 5


def test_errors_of_a_category_are_right_and_wrong_answers():
    truth = SPACE.sample(0, 0, 50).astype(float)
    predicted = truth.copy()
    predicted[:20, 1] = (truth[:20, 1] + 1) % 4
    bars = draw(error_figure(SPACE, predicted - truth)).axes[1].patches
    assert [bar.get_height() for bar in bars] == [30, 20]
