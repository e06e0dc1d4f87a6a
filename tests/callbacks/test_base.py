"""When a callback of our own acts, what it asks for, and what its failing does, in small runs of Lightning."""

import logging
import warnings

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel

from src.callbacks.base import ScheduledCallback
from src.utils.errors import UserError


class Recorder(ScheduledCallback):
    """Notes the optimizer steps that were made when it acted."""

    state = ("seen",)

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.seen = []

    def act(self, trainer, pl_module):
        self.seen.append(trainer.global_step)


class Falling(BoringModel):
    """Its val/nmae is 1, 0.5, 0.25, ..."""

    monitorable = ("val/nmae",)

    def on_validation_epoch_end(self):
        self.log("val/nmae", 0.5**self.current_epoch)


def fitted(*callbacks, model=None, ckpt_path=None, **options):
    given = {"max_epochs": 3, "limit_train_batches": 4, "limit_val_batches": 1, "accelerator": "cpu"} | options
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    checkpoints = any(isinstance(one, ModelCheckpoint) for one in callbacks)
    with warnings.catch_warnings(action="ignore"):
        trainer = Trainer(callbacks=list(callbacks), enable_checkpointing=checkpoints, **(quiet | given))
        trainer.fit(model or Falling(), ckpt_path=ckpt_path, weights_only=True)
    return trainer


@pytest.mark.parametrize(
    ("options", "more", "expected"),
    [
        ({}, {}, [4, 8, 12]),
        ({"every": 2}, {}, [8]),
        ({"every": 5, "after": "step"}, {}, [5, 10]),
        ({"every": 2, "after": "step"}, {"accumulate_grad_batches": 2}, [2, 4, 6]),
        ({"after": "validation"}, {"num_sanity_val_steps": 1}, [4, 8, 12]),
        ({"after": "validation", "when": "val/nmae < 0.6"}, {}, [8, 12]),
        ({"after": "validation", "when": " val/nmae>=5e-1"}, {}, [4, 8]),
        ({"after": "step", "when": "val/nmae <= 0.5"}, {}, [9, 10, 11, 12]),
    ],
)
def test_it_acts_after_what_it_was_told(options, more, expected):
    recorder = Recorder(**options)
    fitted(recorder, **more)
    assert recorder.seen == expected


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_goes_on_with_its_state(tmp_path, accumulate):
    def options(last):
        kept = ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        return {"max_epochs": last, "limit_train_batches": 6, "accumulate_grad_batches": accumulate}, kept

    whole, first, second = (Recorder(every=4, after="step") for _ in range(3))
    fitted(whole, max_epochs=3, limit_train_batches=6, accumulate_grad_batches=accumulate)
    settings, kept = options(1)
    fitted(first, kept, **settings)
    settings, kept = options(3)
    fitted(second, kept, ckpt_path=tmp_path / "last.ckpt", **settings)
    assert second.seen == whole.seen and len(first.seen) < len(second.seen)


def test_two_of_a_class_keep_their_own_state(tmp_path):
    kept = ModelCheckpoint(tmp_path, filename="last")
    fitted(Recorder(), Recorder(after="step"), kept, max_epochs=1)
    states = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]
    assert [state["seen"] for key, state in states.items() if "Recorder" in key] == [[4], [1, 2, 3, 4]]


class Failing(ScheduledCallback):
    """Fails wherever it can."""

    def __init__(self, error, **options):
        super().__init__(**options)
        self.error = error
        self.calls = 0

    def act(self, trainer, pl_module):
        self.calls += 1
        raise self.error

    def on_train_start(self, trainer, pl_module):
        raise self.error


def test_a_failure_is_warned_of_once_and_the_training_goes_on(caplog):
    failing, recorder = Failing(OSError("no space\nleft")), Recorder()
    with caplog.at_level(logging.WARNING, logger="src"):
        fitted(failing, recorder)
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("src")]
    assert "Failing" in line and "OSError: no space left" in line
    assert failing.calls == 3 and recorder.seen == [4, 8, 12]


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (OSError("full"), {"on_error": "raise"}),
        (UserError("data: mend it"), {}),
    ],
)
def test_what_is_meant_to_end_a_run_ends_it(error, options):
    with pytest.raises(type(error), match=str(error)):
        fitted(Failing(error, **options))


def test_ctrl_c_ends_a_run():
    with pytest.raises(SystemExit):  # what Lightning makes of it
        fitted(Failing(KeyboardInterrupt()))


def test_callbacks_act_in_their_order_and_checkpoints_last(tmp_path):
    acted = []

    def named(name, order):
        members = {"order": order, "act": lambda *_: acted.append(name)}
        return type(name, (ScheduledCallback,), members)(after="step")

    kept = ModelCheckpoint(tmp_path)
    trainer = fitted(named("Late", 5), kept, named("First", -5), named("Second", 0), max_epochs=1, max_steps=1)
    assert acted == ["First", "Second", "Late"]
    assert trainer.callbacks[-1] is kept


class Needing(ScheduledCallback):
    needs = (EarlyStopping,)


class Logging(ScheduledCallback):
    needs_logger = True


def test_what_it_needs_must_be_there():
    with pytest.raises(UserError, match="Needing needs a EarlyStopping"):
        fitted(Needing())
    fitted(Needing(), EarlyStopping("val/nmae"), max_epochs=1)
    with pytest.raises(UserError, match=r"logger: Logging needs a logger.*logger=tensorboard"):
        fitted(Logging())


class RankZero(Recorder):
    rank_zero = True

    def act(self, trainer, pl_module):
        super().act(trainer, pl_module)


@pytest.mark.parametrize(("rank", "expected"), [(0, [4, 8, 12]), (1, [])])
def test_only_rank_zero_acts_where_it_is_for_that(monkeypatch, rank, expected):
    monkeypatch.setattr(Trainer, "is_global_zero", rank == 0)
    recorder = RankZero()
    fitted(recorder)
    assert recorder.seen == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, r"Recorder\.every: 0 given; it must be a whole number"),
        ({"every": 1.5}, "every: 1.5 given"),
        ({"after": "batch"}, "after: 'batch' given; it must be one of step, epoch, validation"),
        ({"when": "val/nmae << 1"}, "when: 'val/nmae << 1' given; it must be like"),
        ({"when": "val/nmae < 1.2.3"}, "when: "),
        ({"on_error": "ignore"}, "on_error: 'ignore' given; it must be warn or raise"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options, words):
    with pytest.raises(UserError, match=words):
        Recorder(**options)


def test_a_metric_that_is_never_logged_is_one_line():
    with pytest.raises(UserError, match=r"Recorder\.when: no metric 'val/nmea'. Did you mean 'val/nmae'"):
        fitted(Recorder(when="val/nmea < 1"))
