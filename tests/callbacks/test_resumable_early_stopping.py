"""A run that has stopped early stays so when it is resumed, until it is given more patience."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from src.callbacks.resumable_early_stopping import ResumableEarlyStopping
from tests import running
from tests.end_to_end.test_resume import checkpoint_of, differences

PATIENCE = "callbacks.early_stopping.patience"
STOPS = ("trainer.max_epochs=6", "logger=csv", f"{PATIENCE}=1", "+callbacks.early_stopping.min_delta=1000")


def test_its_state_is_that_of_lightnings_own_but_for_the_patience():
    ours, theirs = (one("val/nmae", patience=2) for one in (ResumableEarlyStopping, EarlyStopping))
    theirs.wait_count, theirs.best_score = 1, torch.tensor(0.5)
    assert ours.state_key == theirs.state_key and ours.state_dict().keys() == theirs.state_dict().keys()
    more = ResumableEarlyStopping("val/nmae", patience=3)
    more.load_state_dict(theirs.state_dict())
    assert more.state_dict() == theirs.state_dict() | {"patience": 3}


@pytest.fixture
def stopped(data_root, saw, tmp_path):
    """Two epochs of six: the first is the best, since no other can be so much better."""
    running.run("train", data_root, tmp_path / "run", *STOPS)
    assert checkpoint_of(tmp_path / "run")["epoch"] == 1
    return tmp_path / "run"


@pytest.mark.long
def test_a_run_killed_in_its_test_is_tested_as_it_was(data_root, stopped, tmp_path):
    kill = "+callbacks.stop._target_=tests.end_to_end.callbacks.InterruptTest"
    with pytest.raises(SystemExit):
        running.run("train", data_root, tmp_path / "killed", *STOPS, kill)
    running.run("train", data_root, tmp_path / "killed", *STOPS, f"resume={tmp_path / 'killed'}")
    for name in ("best", "last"):
        assert not list(differences(checkpoint_of(stopped, name), checkpoint_of(tmp_path / "killed", name)))
    for file in ("csv/metrics.csv", "test_results.json"):
        assert (stopped / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()


@pytest.mark.parametrize(
    ("given", "epochs"), [((), 2), ((f"{PATIENCE}=3",), 4), (("~callbacks.early_stopping",), 6)], ids=str
)
def test_a_finished_run_trains_on_with_more_patience_or_without(data_root, stopped, given, epochs):
    stops = [word for word in STOPS if "early" not in word or not given or "~" not in given[0]]
    running.run("train", data_root, stopped, *stops, *given, f"resume={stopped}")
    assert checkpoint_of(stopped)["epoch"] == epochs - 1


def test_more_epochs_alone_train_no_further_and_it_says_why(data_root, stopped, caplog):
    with caplog.at_level("INFO"):
        running.run("train", data_root, stopped, *STOPS, "trainer.max_epochs=9", f"resume={stopped}")
    assert "val/nmae has not improved for 1 validation; its best value is " in caplog.text
    assert checkpoint_of(stopped)["epoch"] == 1


def test_without_any_patience_a_run_that_has_just_improved_is_not_ended():
    trainer = SimpleNamespace(should_stop=False)
    ResumableEarlyStopping("val/nmae", patience=0).on_train_start(trainer, None)
    assert not trainer.should_stop


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("NON_FINITE_METRIC", "val/x is not finite"),
        ("STOPPING_THRESHOLD", "val/x has reached the stopping threshold"),
        ("DIVERGENCE_THRESHOLD", "val/x has passed the divergence threshold"),
        ("PATIENCE_EXHAUSTED", "val/x has not improved for 7 validations; its best value is 0.1235"),
    ],
)
def test_the_reason_is_one_plain_line(reason, text, caplog):
    stopping = ResumableEarlyStopping("val/x")
    stopping.stopping_reason = EarlyStoppingReason[reason]
    stopping.wait_count, stopping.best_score = 7, torch.tensor(0.123456)
    with caplog.at_level("INFO"):
        stopping.on_train_end(SimpleNamespace(), None)
    assert [record.getMessage() for record in caplog.records] == [f"early stopping: {text}"]


@pytest.mark.parametrize(
    ("reason", "stops"), [("NON_FINITE_METRIC", True), ("STOPPING_THRESHOLD", True), ("NOT_STOPPED", False)]
)
def test_other_reasons_than_patience_hold_as_well(reason, stops):
    stopping, trainer = ResumableEarlyStopping("val/nmae", patience=3), SimpleNamespace(should_stop=False)
    stopping.load_state_dict(stopping.state_dict() | {"stopping_reason": EarlyStoppingReason[reason].value})
    stopping.on_train_start(trainer, None)
    assert trainer.should_stop == stops


def test_the_reason_of_an_earlier_stop_is_not_that_of_a_run_that_has_trained_on(caplog):
    stopping, trainer = ResumableEarlyStopping("val/nmae", patience=50), SimpleNamespace(should_stop=False)
    reason = {"stopping_reason": EarlyStoppingReason.PATIENCE_EXHAUSTED.value, "stopping_reason_message": "did not"}
    stopping.load_state_dict(stopping.state_dict() | {"wait_count": 2} | reason)
    with caplog.at_level("INFO"):
        stopping.on_train_start(trainer, None)
        stopping.on_train_end(trainer, None)
    assert not trainer.should_stop and "early stopping" not in caplog.text
