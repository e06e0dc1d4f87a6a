"""Lightning's objects from configs: what is missing or wrong is one line naming the group."""

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import OmegaConf

from src.cli.instantiate import apply_extras, build, build_all, build_trainer, log_hyperparameters
from src.utils.errors import UserError
from src.utils.metrics_csv import ResumableCSVLogger
from tests import running


def config_of(tmp_path, *overrides):
    return running.composed("train", f"paths.output_dir={tmp_path}", f"paths.data_dir={tmp_path}", *overrides)


@pytest.fixture
def threads():
    """Threads of torch, restored afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_seed_threads_and_config_are_applied(tmp_path, threads, capsys):
    config = config_of(tmp_path, "seed=5", "extras.num_threads=2")
    apply_extras(config)
    first = torch.rand(3)
    assert torch.get_num_threads() == 2 and not capsys.readouterr().out
    apply_extras(config_of(tmp_path, "seed=5", "extras.print_config=true"))
    assert torch.equal(torch.rand(3), first)
    assert "task_name: train" in capsys.readouterr().out


def test_a_group_is_built_by_role_and_empty_ones_are_left_out(tmp_path):
    group = config_of(tmp_path, "callbacks=[model_checkpoint,early_stopping,rich_progress_bar]").callbacks
    OmegaConf.set_struct(group, False)
    group.early_stopping = None
    built = build_all(group, "callbacks")
    assert [type(one).__name__ for one in built] == ["ResumableCheckpoint", "ResumableCheckpoint", "TrainingBar"]
    assert build_all(None, "callbacks") == []
    group.note = {"patience": 3}
    with pytest.raises(
        UserError,
        match=r"^callbacks.note: has values but no _target_, so nothing can be built; add it with \+callbacks=note",
    ):
        build_all(group, "callbacks")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"_target_": "lightning.pytorch.callbacks.EarlyStoping"}, ["callbacks.x: ", "EarlyStoping"]),
        ({"_target_": "lightning.pytorch.callbacks.EarlyStopping", "patiense": 3}, ["callbacks.x: ", "patiense"]),
        ({"_target_": "src.data.vimh_datamodule.VIMHDataModule"}, ["callbacks.x: data.data_dir: neither this nor"]),
    ],
)
def test_what_cannot_be_built_is_one_line_naming_its_key(config, words):
    with pytest.raises(UserError) as raised:
        build(OmegaConf.create(config), "callbacks.x")
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_the_default_trainer_keeps_the_best_first_and_stops_early(tmp_path):
    trainer = build_trainer(config_of(tmp_path, "trainer=cpu"))
    assert trainer.checkpoint_callback.monitor == "val/nmae"
    assert [one.filename for one in trainer.checkpoint_callbacks] == ["best", "last"]
    assert isinstance(trainer.early_stopping_callback, EarlyStopping)
    assert {type(logger) for logger in trainer.loggers} == {TensorBoardLogger, ResumableCSVLogger}


@pytest.mark.parametrize("group", ["callbacks=none", "debug=default"])
def test_without_callbacks_lightning_adds_no_checkpoint_of_its_own(tmp_path, group):
    trainer = build_trainer(config_of(tmp_path, "trainer=cpu", group, "logger=none"))
    assert not trainer.checkpoint_callbacks and not trainer.loggers
    assert not any(isinstance(one, ModelCheckpoint) for one in trainer.callbacks)


def test_more_processes_than_a_machine_can_hold_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"^trainer\.devices: 1000000000000 given; give at most \d+ on this machine$"):
        build_trainer(config_of(tmp_path, "trainer=cpu", "trainer.devices=1000000000000"))


@pytest.mark.parametrize("accelerator", ["gpu", "mps"])
def test_an_accelerator_that_is_not_there_is_one_line(tmp_path, accelerator):
    if {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[accelerator]:
        pytest.skip(f"this machine has {accelerator}")
    with pytest.raises(
        UserError, match=rf"^trainer: this machine has no {accelerator}; use trainer=cpu or trainer=auto$"
    ):
        build_trainer(config_of(tmp_path, f"trainer={accelerator}"))


def test_what_else_lightning_refuses_of_a_gpu_that_is_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    with pytest.raises(UserError, match=r"^trainer: (?!this machine)"):
        build_trainer(config_of(tmp_path, "trainer=gpu", "trainer.max_epochs=-7"))


def test_a_trainer_option_that_lightning_refuses_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^trainer: .*max_epochs.*$"):
        build_trainer(config_of(tmp_path, "trainer=cpu", "trainer.max_epochs=-7"))


@pytest.mark.parametrize("precision", ["33", "bf16-true", "64-true"])
def test_a_precision_in_which_weights_would_not_be_float32_is_refused(tmp_path, precision):
    with pytest.raises(UserError, match=rf"^trainer.precision: {precision} given; give one of 32-true, .*bf16-mixed"):
        build_trainer(config_of(tmp_path, "trainer=cpu", f"trainer.precision={precision}"))


def test_every_logger_gets_the_config_and_the_runs_identity(tmp_path):
    class Recorder(Logger):
        name, version = "recorder", 0

        def log_hyperparams(self, params):
            self.params = params

        def log_metrics(self, metrics, step=None):
            raise AssertionError

    recorders = [Recorder(), Recorder()]
    log_hyperparameters(recorders, config_of(tmp_path, "seed=7"), {"dataset_sha256": "abc"})
    for recorder in recorders:
        assert recorder.params["seed"] == 7 and recorder.params["dataset_sha256"] == "abc"
        assert recorder.params["model"]["network"]["channels"]
        assert recorder.params["data"]["recipe"]["synth"]["name"] == "simple_saw"
        assert recorder.params["monitor"] == "val/nmae"


def test_what_a_kill_left_of_tensorboards_hyperparameters_is_replaced(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="tensorboard", version="", default_hp_metric=False)
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard/hparams.yaml").write_text("model:\n  netwo")
    log_hyperparameters([logger], config_of(tmp_path, "seed=7"), {"num_parameters": 3})
    logger.save()
    found = OmegaConf.load(tmp_path / "tensorboard/hparams.yaml")
    assert found.seed == 7 and found.num_parameters == 3 and found.model.network


@pytest.mark.parametrize("callbacks", ["default", "[default,grouped_progress_bar]", "none"])
def test_the_trainers_own_key_switches_off_any_bar(tmp_path, callbacks):
    words = ("trainer=cpu", f"callbacks={callbacks}", "logger=none", "trainer.enable_progress_bar=false")
    trainer = build_trainer(config_of(tmp_path, *words))
    assert trainer.progress_bar_callback is None
    assert not any(isinstance(one, ProgressBar) for one in trainer.callbacks)


def test_a_value_that_a_class_refuses_is_told_by_its_key_once(tmp_path):
    config = config_of(tmp_path, "data.num_workers=-1", "data.data_dir=x")
    with pytest.raises(UserError, match=r"^data.num_workers: -1 given; give 0 to \d+ on this machine$"):
        build(config.data, "data")
