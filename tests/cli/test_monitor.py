"""A metric that no run logs is told before the dataset is made, and every one that a run logs passes."""

import pytest

from src.cli.monitor import require_metrics
from src.data.inputs import Inputs
from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.utils.errors import UserError
from tests import running


def config_of(*overrides):
    return running.composed("train", "paths.output_dir=x", *overrides)


def test_every_metric_that_a_model_logs_passes():
    space = load_source(parse_recipe(running.recipe("synth=moog_basic"))).synth.space
    spec = DatasetSpec("t", Inputs((1, 32, 32)), space)
    config = config_of("synth=moog_basic")
    for config.monitor in build_model(running.plain("train", "model"), spec).monitorable:
        if not config.monitor.endswith(("_acc", "_acc1")):
            require_metrics(config)


def test_an_accuracy_is_refused_where_the_least_is_kept():
    with pytest.raises(UserError, match=r"^monitor: val/note_velocity_acc given, but the lowest value is kept"):
        require_metrics(config_of("monitor=val/note_velocity_acc"))
    stops = "callbacks.early_stopping.monitor=val/note_velocity_acc1"
    with pytest.raises(UserError, match=r"^callbacks.early_stopping.monitor: val/note_velocity_acc1 given"):
        require_metrics(config_of(stops))
    require_metrics(config_of(stops, "callbacks.early_stopping.mode=max"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("val/nmea", "val/nmae"),
        ("val/note_velocty_mae", "val/note_velocity_mae"),
        ("val_loss", "val/loss"),
        ("val/filter_cutoff_mea", "val/filter_cutoff_mae"),
    ],
)
def test_a_mistyped_one_is_told_before_data_are_made(given, meant, tmp_path, caplog):
    overrides = ("synth=moog_basic", f"monitor={given}")
    line = running.fault(caplog, "train", tmp_path / "data", tmp_path / "run", *overrides)
    assert line == f"monitor: no metric '{given}'. Did you mean '{meant}'?"
    assert not (tmp_path / "data").exists()


def test_a_metric_of_training_is_not_watched_within_an_epoch():
    within = ("monitor=train/loss", "+trainer.val_check_interval=0.5")
    with pytest.raises(UserError, match=r"^callbacks.*: train/loss is known only at the end .*val_check_interval=0.5"):
        require_metrics(config_of(*within))
    require_metrics(config_of("monitor=train/loss", "+trainer.val_check_interval=1.0"))
    require_metrics(config_of(*within, "callbacks=none"))


def test_the_metric_of_a_plateau_is_looked_at_like_the_others(tmp_path, caplog):
    plateau = ("scheduler=plateau", "model.scheduler.monitor=val/nmea")
    line = running.fault(caplog, "train", tmp_path, tmp_path / "run", *plateau)
    assert line == "model.scheduler.monitor: no metric 'val/nmea'. Did you mean 'val/nmae'?"
    with pytest.raises(UserError, match=r"^model.scheduler.monitor: val/note_velocity_acc given"):
        require_metrics(config_of("scheduler=plateau", "model.scheduler.monitor=val/note_velocity_acc"))
    require_metrics(config_of("scheduler=plateau", "model.scheduler.monitor=val/loss"))


def test_none_is_one_line():
    with pytest.raises(UserError, match=r"^monitor: null given"):
        require_metrics(config_of("monitor=null"))


def test_a_task_knows_its_metrics_before_data_are_made(tmp_path, caplog):
    words = ("model.task._target_=tests.own.MeanTask", "monitor=val/mean_mea")
    line = running.fault(caplog, "train", tmp_path / "data", tmp_path / "run", *words)
    assert line == "monitor: no metric 'val/mean_mea'. Did you mean 'val/mean_mae'?"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("limit", ["0", "0.0"])
def test_what_watches_a_validation_that_never_comes_is_told_before_training(limit, tmp_path, caplog):
    given = f"trainer.limit_val_batches={limit}"
    line = running.fault(caplog, "train", tmp_path / "data", tmp_path / "run", given)
    assert line.startswith("trainer.limit_val_batches: 0 given, so there is no val/nmae, which callbacks.")
    assert "callbacks.early_stopping" in line and line.endswith("'~callbacks.early_stopping'")
    assert "'~callbacks.model_checkpoint'" in line and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("~callbacks.early_stopping", "~callbacks.model_checkpoint"),
        ("callbacks=none",),
        ("monitor=train/loss",),
        ("+trainer.fast_dev_run=true",),
    ],
    ids=" ".join,
)
def test_without_anything_that_watches_it_validation_may_be_left_out(words):
    require_metrics(config_of("trainer.limit_val_batches=0", *words))


def test_a_validation_after_the_last_epoch_is_warned_of(caplog):
    require_metrics(config_of("trainer.max_epochs=3", "+trainer.check_val_every_n_epoch=3"))
    assert not caplog.records
    require_metrics(config_of("trainer.max_epochs=3", "+trainer.check_val_every_n_epoch=4"))
    assert "so no epoch is validated" in caplog.text
