"""The figures of a run and the time that it has left, against a clock that the test turns."""

import math
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Timer

from src.callbacks import progress
from src.callbacks.progress import TrainingProgress, shortened, shown
from src.utils.errors import UserError


@pytest.fixture
def clock(monkeypatch):
    """Return a clock; `clock.now` is the time in seconds."""
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: made.now)
    return made


def trainer_of(**changes):
    """Return what the callbacks read of a trainer: ten epochs of four batches, at the beginning."""
    loop = SimpleNamespace(
        restarted_mid_epoch=False,
        epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=0))),
    )
    given = {
        "current_epoch": 0,
        "num_training_batches": 4,
        "max_epochs": 10,
        "max_steps": -1,
        "global_step": 0,
        "accumulate_grad_batches": 1,
        "callbacks": [],
        "checkpoint_callbacks": [],
        "checkpoint_callback": None,
        "callback_metrics": {},
        "fit_loop": loop,
        "state": SimpleNamespace(fn="fit"),
        "sanity_checking": False,
    }
    return SimpleNamespace(**given | changes)


def train_epoch(callback, trainer, clock, seconds, **metrics):
    """Let a callback see one epoch, of four batches, that logs some metrics; the validation is in it."""
    callback.on_train_epoch_start(trainer, None)
    for batch in range(4):
        clock.now += seconds / 4
        callback.on_train_batch_end(trainer, None, None, None, batch)
    trainer.callback_metrics |= {name: torch.tensor(value) for name, value in metrics.items() if name[:3] == "val"}
    if any(name.startswith("val") for name in metrics):
        callback.on_validation_end(trainer, None)
    callback.on_train_epoch_end(trainer, None)
    trainer.callback_metrics |= {name: torch.tensor(value) for name, value in metrics.items()}


@pytest.mark.parametrize(("mode", "best"), [("min", [3, 1, 1, 1]), ("max", [3, 3, 3, 4])])
def test_the_best_value_is_the_running_minimum_or_maximum(clock, mode, best):
    trainer, found = trainer_of(), []

    class Recorder(TrainingProgress):
        def epoch_ended(self, trainer):
            found.append((self.epochs, self.train_loss, self.value, self.best))

    callback = Recorder("val/x", mode)
    callback.on_train_start(trainer, None)
    for value in (3.0, 1.0, 2.0, 4.0):
        train_epoch(callback, trainer, clock, 1.0, **{"val/x": value, "train/loss": 2 * value})
    callback.on_train_end(trainer, None)
    expected = [(at + 1, 2 * value, value, best[at]) for at, value in enumerate((3, 1, 2, 4))]
    assert found == expected


def test_values_that_are_nan_are_never_the_best(clock):
    trainer, callback = trainer_of(), TrainingProgress("val/x")
    callback.on_train_start(trainer, None)
    for value in (math.nan, 2.0, math.nan):
        train_epoch(callback, trainer, clock, 1.0, **{"val/x": value})
    callback.on_train_end(trainer, None)
    assert callback.best == 2.0 and callback.best_epoch == 2


def test_the_time_left_is_the_mean_of_the_last_five_epochs_times_those_that_remain(clock):
    trainer, callback = trainer_of(max_epochs=20), TrainingProgress("val/x")
    callback.on_train_start(trainer, None)
    durations = [9.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    for at, seconds in enumerate(durations):
        train_epoch(callback, trainer, clock, seconds)
        callback.on_train_epoch_start(trainer, None)
        recent = durations[max(0, at - 4) : at + 1]
        assert callback.seconds_left(trainer) == pytest.approx((19 - at) * sum(recent) / len(recent))


def test_the_first_epoch_is_extrapolated_from_its_batches(clock):
    trainer, callback = trainer_of(), TrainingProgress("val/x")
    callback.on_train_start(trainer, None)
    assert callback.seconds_left(trainer) is None
    clock.now += 2.0
    callback.on_train_batch_end(trainer, None, None, None, 0)
    assert callback.fraction == 0.25
    assert callback.seconds_left(trainer) == pytest.approx(9.75 * 8)


@pytest.mark.parametrize(
    ("limits", "planned", "left"),
    [
        ({"max_epochs": 10}, 10, 9.0),
        ({"max_epochs": -1}, None, None),
        ({"max_epochs": -1, "max_steps": 10, "global_step": 4}, 3, 1.5),
        ({"max_epochs": 2, "max_steps": 100, "global_step": 4}, 2, 1.0),
        ({"max_epochs": -1, "max_steps": 6, "global_step": 2, "accumulate_grad_batches": 2}, 3, 2.0),
        ({"max_epochs": -1, "max_steps": 4, "global_step": 4}, 1, 0.0),
    ],
    ids=str,
)
def test_epochs_and_steps_bound_a_run_together(clock, limits, planned, left):
    trainer, callback = trainer_of(**limits), TrainingProgress("val/x")
    callback.on_train_start(trainer, None)
    train_epoch(callback, trainer, clock, 1.0)
    callback.on_train_epoch_start(trainer, None)
    assert callback.planned_epochs(trainer) == planned
    assert callback.seconds_left(trainer) == (None if left is None else pytest.approx(left))


def test_a_time_limit_bounds_a_run_as_well(clock):
    timer = Timer({"seconds": 30})
    trainer, callback = trainer_of(callbacks=[timer]), TrainingProgress("val/x")
    timer.on_train_start(trainer, None)
    callback.on_train_start(trainer, None)
    assert 0 < callback.seconds_left(trainer) <= 30
    trainer.max_epochs = -1
    assert 0 < callback.seconds_left(trainer) <= 30


def test_data_without_an_end_have_no_fraction(clock):
    trainer = trainer_of(num_training_batches=math.inf, max_epochs=-1, max_steps=100)
    callback = TrainingProgress("val/x")
    callback.on_train_start(trainer, None)
    callback.on_train_batch_end(trainer, None, None, None, 6)
    assert (callback.batches, callback.fraction) == (7, 0.0)
    assert callback.planned_epochs(trainer) is None and callback.seconds_left(trainer) is None


def test_an_epoch_that_another_session_began_counts_only_for_what_is_left(clock):
    trainer, callback = trainer_of(current_epoch=3), TrainingProgress("val/x")
    trainer.fit_loop.restarted_mid_epoch = True
    trainer.fit_loop.epoch_loop.batch_progress.current.ready = 2
    callback.on_train_start(trainer, None)
    assert callback.epochs + callback.fraction == 3.5
    clock.now += 1.0
    callback.on_train_batch_end(trainer, None, None, None, 2)
    assert callback.seconds_left(trainer) == pytest.approx(6.25 * 4)  # a second for a quarter of an epoch
    callback.on_train_epoch_end(trainer, None)
    callback.on_train_epoch_start(trainer, None)
    assert callback.epochs == 4 and not callback._durations


def test_the_best_of_the_sessions_before_is_that_of_the_checkpoint(clock):
    keeps = SimpleNamespace(monitor="val/x", best_model_score=torch.tensor(0.5))
    other = SimpleNamespace(monitor="val/y", best_model_score=torch.tensor(0.1))
    empty = SimpleNamespace(monitor="val/x", best_model_score=None)
    trainer, callback = trainer_of(checkpoint_callbacks=[other, empty, keeps]), TrainingProgress("val/x")
    callback.on_train_start(trainer, None)
    assert callback.best == 0.5 and callback.best_epoch is None


def test_a_sanity_check_is_no_validation(clock):
    trainer, callback = trainer_of(sanity_checking=True), TrainingProgress("val/x")
    trainer.callback_metrics["val/x"] = torch.tensor(1.0)
    callback.on_validation_end(trainer, None)
    assert callback.value is None and not callback.validated


def test_a_metric_that_is_not_logged_is_refused_before_training():
    module = SimpleNamespace(monitorable=["train/loss", "val/nmae"])
    with pytest.raises(UserError, match=r"^TrainingProgress.metric: no metric 'val/nmea'. Did you mean 'val/nmae'\?$"):
        TrainingProgress("val/nmea").setup(None, module, "fit")
    TrainingProgress("test/nmae").setup(None, module, "test")


def test_a_training_loss_is_not_taken_for_that_of_the_epoch_before(clock):
    trainer, callback = trainer_of(), TrainingProgress("train/loss")
    trainer.callback_metrics["train/loss"] = torch.tensor(0.1)
    callback.on_train_start(trainer, None)
    callback.on_validation_end(trainer, None)
    assert callback.value is None and callback.best is None


def test_another_mode_than_min_and_max_is_refused():
    with pytest.raises(UserError, match=r"^TrainingProgress.mode: 'least' given; give min or max$"):
        TrainingProgress("val/x", "least")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (math.nan, "nan"), (0.0, "0"), (0.0456123, "0.04561"), (1234567, "1.235e+06"), (-2.5, "-2.5")],
)
def test_values_are_shown_with_four_digits(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("metric", "text"), [("val/nmae", "val/nmae"), ("val/a_mae", "a_mae"), ("val/abcdefghijk", "...ghijk")]
)
def test_a_name_loses_its_split_and_then_its_beginning(metric, text):
    assert shortened(metric, 8) == text
