"""Telling a sweep's study how a trial is doing, and ending one that is hopeless."""

import functools
import logging
import math
import time

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

log = logging.getLogger(__name__)


class Pruning(Callback):
    """Reports the monitored metric after each epoch, and stops the training when the study's pruner says so.

    Which study and trial that is, the sweeper has written into this job's Hydra config; outside of a sweep this does
    nothing. The trial is marked, so that the sweeper, which alone may end it, knows what its result is worth.
    """

    def __init__(self, monitor: str):
        self.monitor = monitor

    @functools.cached_property
    def _trial(self) -> object | None:
        sweeper = HydraConfig.get().sweeper if HydraConfig.initialized() else {}
        if sweeper.get("trial") is None:
            return None
        from src.utils.sweep_study import AWAY_S, load_study

        study = load_study(sweeper.study_name, sweeper.storage, instantiate(sweeper.pruner), AWAY_S)
        return study, study._storage.get_trial_id_from_study_id_trial_number(study._study_id, sweeper.trial)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if self._trial is None or not math.isfinite(value):
            return
        from src.utils.sweep_study import AWAY_S, PRUNED, STORAGE_ERRORS
        from src.utils.workers import first_line

        study, trial_id = self._trial
        storage, began = study._storage, time.monotonic()
        try:
            storage.set_trial_intermediate_value(trial_id, trainer.current_epoch, value)
            if study.pruner.prune(study, storage.get_trial(trial_id)):
                log.info("pruned after epoch %d, where %s is %.4g", trainer.current_epoch, self.monitor, value)
                storage.set_trial_user_attr(trial_id, PRUNED, True)
                trainer.should_stop = True
        except STORAGE_ERRORS as error:
            log.warning("epoch %d is not in the study: %s", trainer.current_epoch, first_line(error))
            if time.monotonic() - began > AWAY_S:
                self._trial = None  # each further epoch would wait for the database as long
        except RuntimeError:  # Optuna's word for a trial that has ended
            log.warning("stopped after epoch %d: the sweep has given this trial up", trainer.current_epoch)
            trainer.should_stop = True
