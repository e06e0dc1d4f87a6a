"""The pruning callback on a study that its trainer's job belongs to."""

from types import SimpleNamespace

import optuna
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from src.callbacks import pruning
from src.search import study as sweep_study
from src.search.study import open_study
from src.utils import multirun
from src.utils.errors import UserError


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A study of four finished trials, whose values fall from 1 by 0.1 an epoch, and a running one: number 4."""
    url = f"sqlite:///{tmp_path}/study.db"
    study = open_study("s", url)
    for _ in range(4):
        trial = study.ask()
        for epoch in range(6):
            trial.report(1 - 0.1 * epoch, epoch)
        study.tell(trial, 0.5)
    study.ask()
    pruner = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 4, "n_warmup_steps": 2}
    sweeper = OmegaConf.create({"trial": 4, "study_name": "s", "storage": url, "pruner": pruner})
    hydra = SimpleNamespace(initialized=lambda: True, get=lambda: SimpleNamespace(sweeper=sweeper))
    for module in (pruning, multirun):
        monkeypatch.setattr(module, "HydraConfig", hydra)
    return sweeper


def epochs(values):
    """Give a callback a metric an epoch, as a trainer does; return in which epoch it was stopped, and its trial."""
    callback = pruning.Pruning("val/nmae")
    trainer = SimpleNamespace(should_stop=False)
    for trainer.current_epoch, value in enumerate(values):
        trainer.callback_metrics = {"val/nmae": value}
        callback.on_train_epoch_end(trainer, None)
        if trainer.should_stop:
            return trainer.current_epoch
    return None


def trial_of(job):
    return optuna.load_study(study_name="s", storage=job.storage).get_trials()[4]


def test_a_hopeless_trial_stops_after_the_warm_up_and_is_marked(job):
    assert epochs([2.0, 1.9, 1.8, 1.7, 1.6]) == 2
    assert trial_of(job).user_attrs["pruned"]
    assert trial_of(job).intermediate_values == {0: 2.0, 1: 1.9, 2: 1.8}


def test_a_good_trial_goes_on_and_every_epoch_is_in_the_study(job):
    assert epochs([0.9, 0.8, 0.7, 0.6]) is None
    assert trial_of(job).intermediate_values == {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6}
    assert trial_of(job).state == optuna.trial.TrialState.RUNNING


def test_what_is_not_finite_is_for_other_callbacks_to_judge(job):
    assert epochs([float("nan"), float("inf"), 0.7]) is None
    assert trial_of(job).intermediate_values == {2: 0.7}


def test_a_database_that_is_away_does_not_stop_the_training(job, caplog, monkeypatch):
    def away(*_):
        raise optuna.exceptions.StorageInternalError("server closed the connection")

    monkeypatch.setattr("optuna.storages._cached_storage._CachedStorage.set_trial_intermediate_value", away)
    assert epochs([2.0, 1.9, 1.8]) is None
    assert "epoch 3 is not recorded in the study: server closed the connection" in caplog.text


def test_a_database_that_cannot_be_opened_does_not_stop_the_training_either(job, caplog, monkeypatch):
    def away(*_):
        raise UserError("hydra.sweeper.storage: postgresql://host cannot be opened")

    monkeypatch.setattr(sweep_study, "load_study", away)
    monkeypatch.setattr(sweep_study, "AWAY_S", -1)  # it was waited for long enough
    assert epochs([2.0, 1.9, 1.8]) is None
    assert caplog.text.count("cannot be opened") == 1, "no further epoch waits for it"


def test_a_trial_that_its_sweep_has_given_up_does_not_begin(job):
    pruning.Pruning("val/nmae").on_fit_start(None, None)
    open_study("s", job.storage).tell(4, state=optuna.trial.TrialState.FAIL)
    with pytest.raises(UserError, match="the sweep cancelled this trial before it started"):
        pruning.Pruning("val/nmae").on_fit_start(None, None)


def test_a_trial_that_its_sweep_has_given_up_stops(job):
    open_study("s", job.storage).tell(4, state=optuna.trial.TrialState.FAIL)
    assert epochs([0.9, 0.8]) == 0


def test_outside_of_a_sweep_nothing_happens(monkeypatch):
    assert not HydraConfig.initialized()
    assert epochs([2.0, 1.9, 1.8]) is None
