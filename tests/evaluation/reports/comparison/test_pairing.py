"""Which runs may be compared, and what the others are told."""

import numpy as np
import pytest

from src.evaluation.reports.comparison.pairing import require_paired
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests.evaluation.reports.predictions import predicted

ERRORS = np.zeros((4, 1))
TRUTH = np.array([[0.1], [0.2], [0.3], [0.4]])


def one(truth=TRUTH, sha256="a" * 64, errors=ERRORS, labels="exact", **changes):
    spec = ParameterSpec(**{"name": "cutoff", "min": 0, "max": 1} | changes)
    about = {"dataset_sha256": {"test": sha256}, "labels": labels}
    return predicted(errors, truth, ParameterSpace([spec]), **about)


def test_equal_test_splits_pair_without_a_note():
    assert require_paired([("a", one()), ("b", one(errors=ERRORS + 1, step=0.25))]) == []


def test_other_images_of_the_same_parameters_pair_with_a_note():
    (note,) = require_paired([("a", one()), ("b", one(sha256="b" * 64))])
    assert "paired by index" in note


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            one(TRUTH + 0.01, sha256="b" * 64),
            "b does not pair with a: other test sounds, SHA-256 bbbbbbbbbbbb, not aaaaaaa",
        ),
        (
            one(TRUTH + 0.01, labels="quantised"),
            "its true values are quantised, not exact; train both with data.labels=exact",
        ),
        (one(TRUTH[:3], errors=ERRORS[:3]), "3 test sounds, not 4; test both on one dataset"),
        (one(name="decay"), "it predicts decay, not cutoff; compare runs that predict the same"),
        (one(max=2), "max of cutoff is 2.0, not 1.0"),
        (one(unit="Hz"), "unit of cutoff is Hz, not "),
        (one(errors=ERRORS + np.nan), "b: predicts values that are not finite"),
    ],
)
def test_others_are_refused_in_one_line(other, message):
    with pytest.raises(UserError, match=message) as caught:
        require_paired([("a", one()), ("b", other)])
    assert "\n" not in str(caught.value)
