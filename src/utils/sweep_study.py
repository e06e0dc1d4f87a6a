"""The study of a sweep: opening it, what its trials are marked with, and which of them a kill has orphaned."""

import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url

from src.utils.errors import UserError, first_line
from src.utils.locks import is_free

log = logging.getLogger(__name__)

FIXED, COMMAND, MONITOR = "fixed", "command", "monitor"  # attributes of a study: what all its trials share
WANTED = "n_trials"  # and how many it was last to have
OWNER, CAUSE, PRUNED = "owner", "cause", "pruned"  # trials' attributes: a lock's file, why it failed, set by its job
KILLED = "killed"  # the cause of a trial that its sweep could not finish: another one takes its place
STORAGE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, StorageInternalError)

_SQLITE_WAIT_S = 60  # for another process that is writing; its writes take milliseconds
_BUSY_S = 3  # two sweeps that make the same tables at once get in each other's way, once
AWAY_S = 300  # for a server that was there before: restarts, upgrades, and moves to another machine take less
_CONNECT_S = 10  # for a machine that does not answer at all
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.5, 8  # between two attempts: doubled each time


@functools.cache
def open_storage(url: str, patience_s: float = _BUSY_S) -> RDBStorage:
    """Return the database at a URL, made where there is none; UserError when it cannot be opened.

    Cached, since opening takes 70 ms: all trials that train in one process share it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = {"connect_args": {"timeout": _SQLITE_WAIT_S}}
        else:
            options = {"pool_pre_ping": True}  # a server may have closed a connection that waited for a trial to end
            if parsed.get_backend_name() == "postgresql":
                options["connect_args"] = {"connect_timeout": _CONNECT_S}
        storage = _insist(lambda: RDBStorage(url, options), STORAGE_ERRORS, patience_s)
    except (*STORAGE_ERRORS, ImportError, OSError) as error:
        raise UserError(f"hydra.sweeper.storage: {_shown(url)} cannot be opened ({first_line(error)})") from error
    _wait_when_away(storage.engine)
    return storage


def _wait_when_away(engine: Engine) -> None:
    """Have every later connection wait for a server that has gone away: with the pings above, any call to the study."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
        return _insist(lambda: dialect.connect(*arguments, **options), dialect.dbapi.OperationalError, AWAY_S)


def _insist(make: Callable[[], Any], errors: Any, patience_s: float) -> Any:
    """Return what `make` makes, tried again for so long as it raises one of `errors`."""
    began, pause = time.monotonic(), _FIRST_PAUSE_S
    while True:
        try:
            made = make()
        except errors as error:
            if time.monotonic() - began >= patience_s:
                raise
            if pause == _FIRST_PAUSE_S:
                log.warning("hydra.sweeper.storage: %s; waiting for it, up to %d s", first_line(error), patience_s)
            time.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_S)
        else:
            if pause > _FIRST_PAUSE_S:
                log.warning("hydra.sweeper.storage: it is there after %.0f s", time.monotonic() - began)
            return made


def _shown(url: str) -> str:
    """Return a URL without its password."""
    try:
        return repr(make_url(url))
    except sqlalchemy.exc.ArgumentError:
        return "what was given"


def open_study(name: str, url: str, sampler: Any = None, pruner: Any = None) -> Study:
    """Return a study of a database, made where there is none."""
    storage = open_storage(url)
    return optuna.create_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner, load_if_exists=True)


def load_study(name: str, url: str, pruner: Any = None, patience_s: float = _BUSY_S) -> Study:
    """Return a study that is there; KeyError where it is not."""
    return optuna.load_study(study_name=name, storage=open_storage(url, patience_s), pruner=pruner)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of the study's n_trials: those that a kill ended are not."""
    return trial.user_attrs.get(CAUSE) != KILLED


def fail(study: Study, trial: Trial | FrozenTrial, cause: str) -> None:
    """Mark a running trial as failed, and why."""
    with unless_ended(trial.number):
        study._storage.set_trial_user_attr(trial._trial_id, CAUSE, cause)
        study.tell(trial.number, state=TrialState.FAIL)


@contextmanager
def unless_ended(number: int) -> Iterator[None]:
    """Leave a trial that another process has ended meanwhile as it is."""
    try:
        yield
    except RuntimeError:  # Optuna's word for it
        log.info("trial %d has been marked by another process", number)


def orphans(study: Study, directory: Path) -> list[FrozenTrial]:
    """Return the running trials of dead sweeps.

    A sweep holds the lock of one file below its directory as long as it lives, and the system lets go of it however
    it dies. A file that is not there belongs to a machine that shares only the database: that trial is left alone.
    """

    def is_dead(trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get(OWNER)
        if owner is None:  # its sweep names itself in the next line of its code
            return (datetime.now() - trial.datetime_start).total_seconds() > _SQLITE_WAIT_S
        return is_free(directory / owner)

    return list(filter(is_dead, study.get_trials(states=(TrialState.RUNNING,))))


def free_locks(directory: Path) -> list[Path]:
    """Return the locks that dead sweeps have left; while one is there, the trials of its sweep are orphans."""
    return [path for path in directory.glob("*.lock") if is_free(path)]
