"""Report a trial's progress to a sweep's study, and stop the trial if the study's pruner decides so."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from src.utils.errors import UserError, first_line
from src.utils.multirun import in_trial, job_label

if TYPE_CHECKING:  # imported only in a sweep
    from optuna.trial import Trial

log = logging.getLogger(__name__)


class Pruning(Callback):
    """Reports the monitored metric after each epoch, and stops training if the study's pruner decides so.

    The sweeper has written the study and the trial into this job's Hydra config; without a sweep the callback does
    nothing. A pruned trial is marked in the study, since only the sweeper ends trials; `pruned` says when and why.
    """

    def __init__(self, monitor: str):
        self.monitor = monitor
        self.pruned = ""

    @functools.cached_property
    def _trial(self) -> Trial | None:
        from src.search.study import AWAY_S, load_trial

        sweeper = HydraConfig.get().sweeper
        return load_trial(sweeper.study_name, sweeper.storage, sweeper.trial, instantiate(sweeper.pruner), AWAY_S)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise UserError if the sweep gave this trial up while its job waited to start."""
        if not in_trial():
            return
        running = True
        with self._without_database("the start"):
            if self._trial is not None:
                trials = self._trial.study.get_trials(deepcopy=False)
                running = not trials[self._trial.number].state.is_finished()
        if not running:
            raise UserError("the sweep cancelled this trial before it started")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics.get(self.monitor, math.nan))
        if not in_trial() or not math.isfinite(value):
            return
        try:
            with self._without_database(f"epoch {trainer.current_epoch + 1}"):
                if self._trial is not None and self._is_hopeless(self._trial, trainer.current_epoch, value):
                    self.pruned = f"after epoch {trainer.current_epoch + 1}: {self.monitor} is {value:.4g}"
                    trainer.should_stop = True
        except RuntimeError:  # Optuna raises it for a trial that has ended
            log.warning("%sstopped: the sweep has cancelled this trial", job_label())
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.pruned:  # logged here, after the line of the last epoch
            log.info("%spruned %s, worse than in other trials", job_label(), self.pruned)

    def _is_hopeless(self, trial: Trial, epoch: int, value: float) -> bool:
        """Report an epoch's value; return whether the pruner gives the trial up, and mark the trial then."""
        from src.search.study import PRUNED

        trial.report(value, epoch)
        if not trial.should_prune():
            return False
        trial.set_user_attr(PRUNED, True)
        return True

    @contextmanager
    def _without_database(self, what: str) -> Iterator[None]:
        """Warn if the database cannot be reached, and continue."""
        from src.search.study import AWAY_S, STORAGE_ERRORS

        began = time.monotonic()
        try:
            yield
        except (*STORAGE_ERRORS, UserError) as error:
            log.warning("%s is not recorded in the study: %s", what, first_line(error))
            if time.monotonic() - began > AWAY_S:
                self._trial = None  # otherwise each further epoch would wait as long
