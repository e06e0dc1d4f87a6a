"""The sentence on top of a comparison and its checks say what the tests found, and no more."""

import numpy as np
import pytest

from src.evaluation.reports.comparison.comparison import MethodFacts, compare
from src.evaluation.reports.comparison.verdict import check_comparison, verdict
from tests.evaluation.reports.predictions import predicted

COUNT = 400


def compared(scales, baseline=None, seeds=1):
    """Compare methods whose errors are normal with these standard deviations, one for each parameter."""
    methods = {}
    for at, (name, scale) in enumerate(scales.items()):
        draws = [np.random.default_rng([at, seed]).standard_normal((COUNT, len(scale))) for seed in range(seeds)]
        methods[name] = [predicted(np.array(scale) * draw) for draw in draws]
    return compare(methods, baseline)


CHECKPOINTS = "These are two checkpoints, not two methods: other seeds may change the order."


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ({"A": (1, 1, 1), "B": (0.5, 0.5, 2)}, "B has the smaller error for 2 of 3 parameters, A for 1."),
        ({"A": (1, 1), "B": (2, 1)}, "A has the smaller error for 1 of 2 parameters; the other is unclear."),
        ({"A": (1,), "B": (0.5,)}, "B has the smaller error for p_0."),
        ({"A": (1, 1), "B": (1, 1)}, "Which of A and B has the smaller error is unclear for every parameter."),
    ],
)
def test_of_two_methods_the_better_one_is_named_with_the_number_of_parameters(scales, expected):
    assert verdict(compared(scales)) == f"{expected} {CHECKPOINTS}"


def test_of_many_methods_the_best_is_named_with_those_that_may_be_as_good():
    sentence = verdict(compared({"A": (1, 1), "B": (0.3, 0.3), "C": (0.3, 0.3), "D": (2, 2)}))
    assert sentence.startswith(("B has the smallest error for all parameters (", "C has the smallest error for"))
    assert "; the difference from " in sentence
    assert " is unclear; A and D are worse by more than chance. These are four" in sentence
    assert "; all others are worse" in verdict(compared({"A": (1,), "B": (0.3,), "C": (2,)}))


def test_with_a_baseline_the_others_are_compared_with_it():
    sentence = verdict(compared({"A": (1, 1), "B": (0.3, 0.3), "C": (2, 2), "D": (1, 1)}, baseline="A"))
    expected = "Compared with A, the error for all parameters is smaller for B; larger for C; unclear for D."
    assert sentence.startswith(expected)


def test_with_seeds_it_holds_for_methods_and_with_some_it_says_for_which_not():
    scales = {"A": (1, 1), "B": (0.5, 0.5)}
    assert verdict(compared(scales, seeds=3)).endswith("The intervals cover the choice of sounds and of seeds.")
    assert verdict(compared(scales, seeds=2)).endswith(
        "fewer than 3 seeds of A and B, other seeds may change the order."
    )


def states(comparison, checksums=("a", "a"), **changes):
    facts = {"A": MethodFacts(("logs/A",), (1,), 10, 1.0, None, ("CPU",), ("c0ffee",))}
    facts["B"] = MethodFacts(**{**vars(facts["A"]), **changes})
    return {check.name: (check.state, check.why) for check in check_comparison(comparison, facts, checksums)}


def test_checks_pass_where_nothing_is_wrong():
    found = states(compared({"A": (0.1, 0.1), "B": (0.11, 0.11)}, seeds=3))
    assert {name for name, (state, _) in found.items() if state != "pass"} == {"Better than the mean baseline"}
    assert found["Better than the mean baseline"][1].startswith("Hardly better: A for p_0")  # its true values are equal
    assert "CPU" in found["Same machine"][1]


def test_checks_name_what_is_wrong():
    comparison = compared({"A": (0.1, 0.1), "B": (0.2, 0.2)})
    found = states(comparison, ("a", "b"), hardware=("GPU",), commits=("decade",))
    assert found["Same test split"][0] == "warn" and "paired by their index" in found["Same test split"][1]
    assert found["Seeds"] == ("warn", "Fewer than 3 seeds, so that their spread is not known: A, B.")
    assert found["Same machine"] == ("warn", "Training times are not comparable: CPU; GPU.")
    assert found["Same code"] == ("warn", "More than the config may differ: c0ffee; decade.")
    found = states(comparison, ("a", None), hardware=())
    assert found["Same test split"][0] == "unknown"
    detectable = comparison.differences[-1].detectable / comparison.error("A", "all parameters").error
    assert f"{100 * detectable:.2g} % of the error" in found["Enough sounds"][1]
