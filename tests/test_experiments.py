"""What the experiments' headers claim is what was measured."""

import json
import sys

import pytest

from tests import running

sys.path.insert(0, str(running.ROOT / "benchmarks"))
from experiments import named_experiments, sentence, with_figures

MEASURED = json.loads((running.ROOT / "benchmarks/results.json").read_text()).get("experiments", {})


@pytest.mark.parametrize("experiment", named_experiments())
def test_a_headers_figures_are_those_of_the_results(experiment):
    assert experiment in MEASURED, f"not measured yet: python benchmarks/experiments.py {experiment}"
    text = (running.CONFIGS / f"experiment/{experiment}.yaml").read_text()
    header = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    assert sentence(MEASURED[experiment]) in header
    assert with_figures(text, MEASURED[experiment]) == text


def test_nothing_is_measured_that_is_no_experiment():
    assert set(MEASURED) <= set(named_experiments())


@pytest.mark.parametrize("experiment", named_experiments())
def test_every_header_has_a_place_for_figures_and_nothing_else_is_touched(experiment):
    figures = {"parameters": 1234567, "seconds": 61.7, "heads": {"a": {"mae": 0.1, "baseline": 0.5, "unit": "Hz"}}}
    text = (running.CONFIGS / f"experiment/{experiment}.yaml").read_text()
    new = with_figures(text, figures)
    line = (
        "# 1,234,567 parameters, 62 s on two cores. Test MAE, and as a share of predicting the mean: a 0.1 Hz (20.0 %)."
    )
    assert line in new.splitlines()
    kept = [one for one in new.splitlines() if one != line]
    assert kept == [one for one in text.splitlines() if one in kept] and "defaults:" in kept
    assert with_figures(new, figures) == new


def test_a_header_without_figures_is_told():
    with pytest.raises(ValueError, match="no line of figures"):
        with_figures("# @package _global_\n# It trains.\n", {"parameters": 1, "seconds": 1, "heads": {}})
