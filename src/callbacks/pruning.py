"""Telling a sweep's study how a trial is doing, and ending one that is hopeless."""

import functools
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from src.utils.errors import UserError, first_line
from src.utils.multirun import in_trial

log = logging.getLogger(__name__)


class Pruning(Callback):
    """Reports the monitored metric after each epoch, and stops the training when the study's pruner says so.

    Which study and trial that is, the sweeper has written into this job's Hydra config; outside of a sweep this does
    nothing. The trial is marked, so that the sweeper, which alone may end it, knows what its result is worth.
    """

    def __init__(self, monitor: str):
        self.monitor = monitor

    @functools.cached_property
    def _trial(self) -> tuple[Any, int] | None:
        from src.utils.sweep_study import AWAY_S, load_study

        sweeper = HydraConfig.get().sweeper
        study = load_study(sweeper.study_name, sweeper.storage, instantiate(sweeper.pruner), AWAY_S)
        return study, study._storage.get_trial_id_from_study_id_trial_number(study._study_id, sweeper.trial)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """UserError when the sweep has given this trial up while its job waited for a place."""
        if not in_trial():
            return
        running = True
        with self._without_database("the start"):
            if self._trial is not None:
                study, trial_id = self._trial
                running = not study._storage.get_trial(trial_id).state.is_finished()
        if not running:
            raise UserError("the sweep has given this trial up before it began")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if not in_trial() or not math.isfinite(value):
            return
        try:
            with self._without_database(f"epoch {trainer.current_epoch}"):
                if self._trial is not None and self._is_hopeless(trainer.current_epoch, value):
                    log.info("pruned after epoch %d, where %s is %.4g", trainer.current_epoch, self.monitor, value)
                    trainer.should_stop = True
        except RuntimeError:  # Optuna's word for a trial that has ended
            log.warning("stopped after epoch %d: the sweep has given this trial up", trainer.current_epoch)
            trainer.should_stop = True

    def _is_hopeless(self, epoch: int, value: float) -> bool:
        """Report an epoch's value; return whether the pruner gives the trial up, which then is marked."""
        from src.utils.sweep_study import PRUNED

        study, trial_id = self._trial
        study._storage.set_trial_intermediate_value(trial_id, epoch, value)
        if not study.pruner.prune(study, study._storage.get_trial(trial_id)):
            return False
        study._storage.set_trial_user_attr(trial_id, PRUNED, True)
        return True

    @contextmanager
    def _without_database(self, what: str) -> Iterator[None]:
        """Warn when the database is away, and go on."""
        from src.utils.sweep_study import AWAY_S, STORAGE_ERRORS

        began = time.monotonic()
        try:
            yield
        except (*STORAGE_ERRORS, UserError) as error:
            log.warning("%s is not in the study: %s", what, first_line(error))
            if time.monotonic() - began > AWAY_S:
                self._trial = None  # each further epoch would wait for the database as long
