"""Each check passes, warns and fails where it should, and says why."""

import numpy as np
import pytest

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec, Origin
from src.data.spec_schema import Sensitivity
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.reports import checks
from src.evaluation.reports.dataset import checks as dataset_checks
from src.evaluation.reports.heads import head_figures
from tests.evaluation.datasets import write_every_kind
from tests.evaluation.reports.made import SPACE, make_predictions


def spec_with(*rows):
    return DatasetSpec("made", Inputs((1, 8, 8)), SPACE, Origin(sensitivity=list(rows)))


def effect(name, blind, range_db=0.0):
    return Sensitivity(name=name, step_levels=1.0, range_levels=9.0, blind=blind, range_db=range_db)


def collapse(predictions):
    return checks.check_collapse(predictions, head_figures(predictions))


def test_right_predictions_pass_and_what_is_not_there_is_not_measured():
    predictions = make_predictions(500)
    found = checks.run_checks(predictions, head_figures(predictions), None, None)
    assert [check.state for check in found] == ["unknown", "unknown", "pass", "pass", "unknown"]
    assert all(check.why.endswith(".") for check in found)


@pytest.mark.parametrize(
    ("rows", "state", "named"),
    [
        ([effect("cutoff", False)], "pass", "Each"),
        ([effect("cutoff", False), effect("octave", True)], "fail", "octave"),
        ([effect("octave", True, range_db=3.0)], "warn", "octave"),
    ],
)
def test_parameters_without_effect(rows, state, named):
    check = dataset_checks.check_effects(spec_with(*rows))
    assert check.state == state and named in check.why


@pytest.mark.parametrize(("factor", "state"), [(1.0, "pass"), (0.8, "warn"), (0.3, "fail")])
def test_intervals_that_are_too_narrow(factor, state):
    predictions = make_predictions(2000)
    for low, high in ((predictions.low_68, predictions.high_68), (predictions.low_90, predictions.high_90)):
        low += (1 - factor) * (predictions.value - low)
        high -= (1 - factor) * (high - predictions.value)
    check = checks.check_coverage(predictions)
    assert check.state == state and ("cutoff" in check.why) == (state != "pass")


def test_a_head_that_predicts_the_same_for_all_samples():
    predictions = make_predictions(200)
    predictions.value[:, 0] = predictions.truth[:, 0].mean()
    predictions.level[:, 2] = 1
    check = collapse(predictions)
    assert check.state == "fail" and "cutoff, wave" in check.why and "octave" not in check.why


def test_a_head_that_is_no_better_than_the_mean_baseline():
    predictions = make_predictions(200)
    predictions.value[:, 3] = np.random.default_rng(1).permutation(predictions.truth[:, 3])
    assert collapse(predictions).state == "warn" and "octave" in collapse(predictions).why
    predictions.value[:, 3] = np.nan
    assert collapse(predictions).state == "fail"


def test_training_sounds_in_the_test_split_are_found(tmp_path):
    write_every_kind(tmp_path / "data")
    datamodule = VIMHDataModule(tmp_path / "data", allow_blind=True)
    assert checks.check_leakage(datamodule).state == "pass"
    datamodule._splits["test"] = datamodule.dataset("train")
    check = checks.check_leakage(datamodule)
    assert check.state == "fail" and "40 of 40" in check.why


@pytest.mark.parametrize(("unlike", "state"), [(1, "pass"), (10, "warn"), (50, "fail")])
def test_samples_out_of_distribution(unlike, state):
    check = checks.check_distribution(np.where(np.arange(100) < unlike, 1.5, 0.5))
    assert check.state == state and f"{unlike}.0 %" in check.why


def test_distances_that_are_not_known_are_no_pass():
    assert checks.check_distribution(None).state == "unknown"
