"""The study of a sweep: opening it, the attributes of its trials, and the trials of killed sweeps."""

import functools
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

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

FIXED, COMMAND, MONITOR = "fixed", "command", "monitor"  # attributes of a study, equal for all its trials
WANTED = "n_trials"  # and the number of trials that the last command asked for
OWNER, CAUSE, PRUNED = "owner", "cause", "pruned"  # of a trial: its sweep's lock file, why it failed, set by its job
KILLED = "killed"  # the cause of a trial that its sweep could not finish: another trial replaces it
STORAGE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, StorageInternalError)

_SQLITE_WAIT_S = 60  # for another process that is writing; its writes take milliseconds
_BUSY_S = 3  # two sweeps that create the tables at the same time conflict once
AWAY_S = 300  # for a server that worked before: restarts, upgrades and moves take less
_CONNECT_S = 10  # for a machine that does not answer
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.5, 8  # between two attempts: doubled each time


@functools.cache
def open_storage(url: str, patience_s: float = _BUSY_S) -> RDBStorage:
    """Return the database at a URL, created if it does not exist; raise UserError if it cannot be opened.

    All trials that train in one process share it, since opening takes 70 ms.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if not parsed.query.get("uri"):  # a file that is only read exists
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = {"connect_args": {"timeout": _SQLITE_WAIT_S}}
        else:
            options = {"pool_pre_ping": True}  # a server may close a connection that is idle during a trial
            if parsed.get_backend_name() == "postgresql":
                options["connect_args"] = {"connect_timeout": _CONNECT_S}
        storage = _retry(lambda: RDBStorage(url, options), STORAGE_ERRORS, patience_s)
    except (*STORAGE_ERRORS, ImportError, OSError) as error:
        raise UserError(
            f"hydra.sweeper.storage: {_shown(url)} cannot be opened ({first_line(error)}); "
            "check the URL, and that the server is running"
        ) from error
    _wait_when_away(storage.engine)
    return storage


def read_only_url(path: Path) -> str:
    """Return the URL of a study's file for reading; raise UserError if it is a link or not a study.

    Views and triggers are refused, since they would be run when their names are read.
    """
    remedy = "give the study.db of a search"
    if path.is_symlink():
        raise UserError(f"{path}: a link to another file; {remedy}")
    url = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(url, uri=True)) as database:
            kinds = dict(database.execute("select name, type from sqlite_master"))
    except sqlite3.Error as error:
        raise UserError(f"{path}: cannot be read ({error}); {remedy}") from error
    if kinds.get("trials") != "table" or not {"table", "index"}.issuperset(kinds.values()):
        raise UserError(f"{path}: not the database of a search; {remedy}")
    return f"sqlite:///{url}&uri=true"


def _wait_when_away(engine: Engine) -> None:
    """Make every later connection wait for a server that is gone; because of the pings above, every call waits too."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
        return _retry(lambda: dialect.connect(*arguments, **options), dialect.dbapi.OperationalError, AWAY_S)


def _retry(make: Callable[[], Any], errors: Any, patience_s: float) -> Any:
    """Return the result of `make`; call it again for up to `patience_s` while it raises one of `errors`."""
    began, pause = time.monotonic(), _FIRST_PAUSE_S
    while True:
        try:
            made = make()
        except errors as error:
            if time.monotonic() - began >= patience_s:
                raise
            if pause == _FIRST_PAUSE_S:
                log.warning("hydra.sweeper.storage: %s; waiting up to %d s for it", first_line(error), patience_s)
            time.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_S)
        else:
            if pause > _FIRST_PAUSE_S:
                log.warning("hydra.sweeper.storage: reached after %.0f s", time.monotonic() - began)
            return made


def _shown(url: str) -> str:
    """Return a URL without its password."""
    try:
        return repr(make_url(url))
    except sqlalchemy.exc.ArgumentError:
        return "the given URL"


def open_study(name: str, url: str, sampler: Any = None, pruner: Any = None) -> Study:
    """Return a study of a database, created if it does not exist."""
    storage = open_storage(url)
    return optuna.create_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner, load_if_exists=True)


def load_study(name: str, url: str, pruner: Any = None, patience_s: float = _BUSY_S) -> Study:
    """Return an existing study; raise KeyError if no study has that name."""
    return optuna.load_study(study_name=name, storage=open_storage(url, patience_s), pruner=pruner)


def load_trial(name: str, url: str, number: int, pruner: Any, patience_s: float) -> Trial:
    """Return a trial of an existing study for the job that reports its progress."""
    study, storage = load_study(name, url, pruner, patience_s), open_storage(url, patience_s)
    study_id = storage.get_study_id_from_name(name)
    return Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def counts(trial: FrozenTrial) -> bool:
    """Return whether a trial counts towards the study's n_trials: killed trials do not."""
    return trial.user_attrs.get(CAUSE) != KILLED


def fail(study: Study, trial: Trial | FrozenTrial, cause: str) -> None:
    """Mark a running trial as failed, with the cause."""
    with unless_ended(trial.number):
        study._storage.set_trial_user_attr(trial._trial_id, CAUSE, cause)
        study.tell(trial.number, state=TrialState.FAIL)


@contextmanager
def unless_ended(number: int) -> Iterator[None]:
    """Leave a trial unchanged if another process has ended it in the meantime."""
    try:
        yield
    except RuntimeError:  # Optuna raises it then
        log.info("trial %d was ended by another process", number)


def orphans(study: Study, directory: Path) -> list[FrozenTrial]:
    """Return the running trials of dead sweeps.

    A running sweep holds the lock of a file in its directory, which the system releases however the sweep ends. If the
    file does not exist, the sweep runs on a machine that shares only the database, and its trials are kept.
    """

    def is_dead(trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get(OWNER)
        if owner is None and trial.datetime_start is not None:  # set right after the sweep has asked for the trial
            return (datetime.now() - trial.datetime_start).total_seconds() > _SQLITE_WAIT_S
        return owner is not None and is_free(directory / owner)

    return list(filter(is_dead, study.get_trials(states=(TrialState.RUNNING,))))


def free_locks(directory: Path) -> list[Path]:
    """Return the lock files of dead sweeps; while such a file exists, the trials of its sweep are orphans."""
    return [path for path in directory.glob("*.lock") if is_free(path)]
