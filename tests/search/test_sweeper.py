"""Searching with jobs that only compute a number: what is counted, what is refused, what is left behind."""

import json
import math
import sqlite3
from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override
from omegaconf import OmegaConf
from optuna.trial import TrialState

from src.search import sweeper as sweep
from src.search import trials as sweep_trials
from src.search.study import free_locks, load_study, open_study, orphans, read_only_url
from src.search.sweeper import distribution, search
from src.utils.errors import Interrupted, UserError
from src.utils.locks import alive

SPACE = {"model.optimizer.lr": "tag(log, interval(0.001, 0.1))", "heads": "choice(regression, ordinal)"}
CHOICES = {"model": "cnn_micro", "heads": "regression", "experiment": None, "wrapper": [], "callbacks": "default"}


def loss(words):
    given = dict(word.split("=", 1) for word in words if "=" in word)
    return abs(math.log10(float(given["model.optimizer.lr"])) + 2) + (given["heads"] == "ordinal")


class Jobs:
    """A launcher whose jobs' results are `of(words)`: a number, or an exception that the job or the launch raised."""

    def __init__(self, of=loss):
        self.of, self.launched = of, []

    def __call__(self, batch, initial_job_idx):
        self.launched += batch
        results = [self.of(words) for words in batch]
        for one in results:
            if isinstance(one, KeyboardInterrupt | SystemExit):
                raise one
        failed = [isinstance(one, Exception) for one in results]
        states = [JobStatus.FAILED if bad else JobStatus.COMPLETED for bad in failed]
        return [JobReturn(status=state, _return_value=one) for state, one in zip(states, results, strict=True)]


@pytest.fixture
def swept(tmp_path):
    """Search below tmp_path; returns the study."""

    def run(jobs, n_trials=5, arguments=(), **changes):
        hydra = {"sweep": {"dir": str(tmp_path)}, "runtime": {"choices": CHOICES}}
        config = OmegaConf.create({"hydra": hydra, "monitor": "val/nmae"})
        settings = {
            "study_name": "s",
            "storage": url(tmp_path),
            "sampler": optuna.samplers.RandomSampler(seed=0),
            "pruner": optuna.pruners.NopPruner(),
            "n_trials": n_trials,
            "n_jobs": 1,
            "max_failure_rate": 0.7,
            "params": SPACE,
        }
        return search(jobs, config, list(arguments), **settings | changes)

    return run


def url(directory):
    return f"sqlite:///{directory}/study.db"


def states(study):
    return [trial.state.name for trial in study.get_trials()]


NOTATIONS = (
    *("a=interval(0.1,2)", "a=interval(1,9)", "a=tag(log,interval(0.1,2))", "a=tag(log, interval(1,9))"),
    *("a=range(1,9)", "a=range(0,1,0.25)", "a=range(8)", "a=choice(x,2,0.5,true)", "a=1,2", "a=[1,2],[3]"),
    "a=choice({b:1},'c d')",
)


@pytest.mark.parametrize("word", NOTATIONS)
def test_the_notation_is_that_of_hydras_sweeper(word):
    (override,) = OverridesParser.create().parse_overrides([word])
    expected = create_optuna_distribution_from_override(override)
    assert type(distribution(override)) is type(expected) and distribution(override) == expected


def test_every_job_gets_its_trial_its_values_and_the_command_lines_words_as_they_are(swept):
    jobs = Jobs()
    words = ["~callbacks.early_stopping", "wrapper=[sam,lookahead]", "+model.heads.a={weight: 2}", "model=vit_tiny"]
    study = swept(jobs, 2, words)
    for number, (launched, trial) in enumerate(zip(jobs.launched, study.get_trials(), strict=True)):
        assert set(words) <= set(launched)
        assert {f"hydra.sweeper.trial={number}", f"hydra.sweep.subdir={number}"} <= set(launched)
        assert {f"{key}={value}" for key, value in trial.params.items()} <= set(launched)
        assert trial.params.keys() == SPACE.keys() and trial.value == loss(launched)


def test_the_command_line_takes_a_value_out_of_the_search_or_changes_its_range(swept):
    jobs = Jobs()
    study = swept(jobs, 4, ["heads=regression", "model.optimizer.lr=choice(0.01,0.02)"])
    assert all("heads=regression" in words for words in jobs.launched)
    assert all(trial.params.keys() == {"model.optimizer.lr"} for trial in study.get_trials())
    assert {trial.params["model.optimizer.lr"] for trial in study.get_trials()} <= {0.01, 0.02}


@pytest.mark.parametrize(
    ("stop", "status"),
    [(KeyboardInterrupt(), 130), (SystemExit(1), 130), (SystemExit(143), 143)],
    ids=["between", "within", "sigterm"],
)
def test_an_interrupted_search_says_how_to_go_on_and_does_the_rest(swept, stop, status):
    jobs = Jobs(lambda words: stop if "hydra.sweeper.trial=2" in words else loss(words))
    with pytest.raises(Interrupted, match=r"study s has 2 of 5 trials, and the same command continues it") as caught:
        swept(jobs)
    assert "\n" not in str(caught.value) and caught.value.status == status
    again = Jobs()
    study = swept(again)
    assert len(again.launched) == 3
    assert states(study) == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert study.get_trials()[2].user_attrs["cause"] == "killed"
    done = Jobs()
    swept(done)
    assert not done.launched


@pytest.mark.parametrize("word", ["++model.optimizer.lr=0.05", "+model.optimizer.lr=0.05", "~model.optimizer.lr"])
def test_a_word_with_a_sign_takes_a_value_out_of_the_search_as_well(swept, word):
    jobs = Jobs(lambda words: 0.5)
    swept(jobs, 1, [word])
    assert [one for one in jobs.launched[0] if "optimizer.lr" in one] == [word]


def test_more_trials_are_added_to_a_finished_study(swept):
    swept(Jobs(), 3)
    jobs = Jobs()
    assert len(swept(jobs, 5).get_trials()) == 5 and len(jobs.launched) == 2


def test_several_jobs_at_a_time_never_add_up_to_more(swept):
    sizes = []

    def launch(batch, initial_job_idx):
        sizes.append(len(batch))
        return Jobs()(batch, initial_job_idx)

    assert len(swept(launch, 5, n_jobs=3).get_trials()) == 5
    assert sizes == [3, 2]


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (UserError("data: too few"), "data: too few"),
        (RuntimeError("CUDA out of memory"), "CUDA out of memory"),
        (math.nan, "its metric is nan"),
        (math.inf, "its metric is inf"),
        (None, "its metric is None"),
    ],
    ids=str,
)
def test_a_failed_trial_is_one_of_the_study_and_the_search_goes_on(swept, result, cause):
    jobs = Jobs(lambda words: result if "hydra.sweeper.trial=1" in words else loss(words))
    study = swept(jobs, 4)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert study.get_trials()[1].user_attrs["cause"] == cause


class Dead(Exception):
    """What a launcher raises when a job's process has died."""


def dying(*numbers):
    """Return a launcher whose batches die with these trials, as joblib's do."""

    def launch(batch, initial_job_idx):
        if any(f"hydra.sweeper.trial={number}" in words for words in batch for number in numbers):
            raise Dead("a worker stopped abruptly\nmore of it")
        return Jobs()(batch, initial_job_idx)

    return launch


@pytest.fixture
def deaths(monkeypatch):
    for module in (sweep, sweep_trials):
        monkeypatch.setattr(module, "worker_died", lambda: (Dead,))


def test_a_batch_that_dies_together_is_replaced_and_counts_as_one_failure(swept, deaths, caplog):
    study = swept(dying(0), 6, n_jobs=4)
    assert states(study) == ["FAIL"] * 4 + ["COMPLETE"] * 6
    assert {trial.user_attrs.get("cause") for trial in study.get_trials()[:4]} == {"killed"}
    assert "a trial's process was killed: a worker stopped abruptly" in caplog.text


def test_a_search_whose_batches_all_die_ends(swept, deaths):
    with pytest.raises(UserError, match=r"^3 of 3 trials failed, so the search ends; the last one: killed$"):
        swept(dying(*range(99)), 40, n_jobs=4)


def test_a_job_that_a_time_limit_ends_is_one_of_the_killed(swept, deaths):
    study = swept(Jobs(lambda words: Dead("timeout") if "hydra.sweeper.trial=1" in words else loss(words)), 3)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert study.get_trials()[1].user_attrs["cause"] == "killed"


def test_what_a_job_reached_after_its_search_was_killed_is_taken_over(swept, tmp_path):
    study = open_study("s", url(tmp_path))
    for number, owner in enumerate(("dead.lock", "dead.lock", "alive.lock")):
        study.ask().set_user_attr("owner", owner)
        (tmp_path / owner).touch()
        (tmp_path / str(number)).mkdir()
    (tmp_path / "0/run.json").write_text(json.dumps({"sessions": [{"outcome": "finished", "score": 0.25}]}))
    with alive(tmp_path / "alive.lock"):
        study = swept(Jobs(), 3)
    assert states(study) == ["COMPLETE", "FAIL", "RUNNING", "COMPLETE"]
    assert study.get_trials()[0].value == 0.25
    assert {path.name for path in tmp_path.glob("*.lock")} == {"alive.lock"}


def test_jobs_that_outlive_a_dead_search_are_waited_for_once_nothing_else_is_to_be_done(swept, tmp_path, monkeypatch):
    open_study("s", url(tmp_path)).ask().set_user_attr("owner", "dead.lock")
    (tmp_path / "dead.lock").touch()
    jobs, asked = Jobs(), []

    def is_in_use(directory):
        asked.append(len(jobs.launched))
        assert len(asked) < 9, "it waits"
        if len(asked) == 5:
            (tmp_path / "0").mkdir()
            (tmp_path / "0/run.json").write_text(json.dumps({"sessions": [{"outcome": "finished", "score": 0.25}]}))
        return len(asked) < 5

    monkeypatch.setattr(sweep_trials, "is_in_use", is_in_use)
    monkeypatch.setattr(sweep_trials.time, "sleep", lambda _: None)
    study = swept(jobs, 3)
    assert asked[-1] == 2 and states(study) == ["COMPLETE"] * 3 and study.get_trials()[0].value == 0.25
    assert not list(tmp_path.glob("*.lock"))


def test_a_trial_that_another_search_ends_meanwhile_stays_as_that_one_left_it(swept, tmp_path):
    def job(words):
        if "hydra.sweeper.trial=1" in words:
            load_study("s", url(tmp_path)).tell(1, 7.0)
        return loss(words)

    assert swept(Jobs(job), 3).get_trials()[1].value == 7.0


def test_a_search_whose_trials_all_fail_ends_with_the_cause(swept):
    jobs = Jobs(lambda words: UserError("data.batch_size: 0 given"))
    with pytest.raises(UserError, match=r"^3 of 3 trials failed, .*: data.batch_size: 0 given$"):
        swept(jobs, 20)
    assert len(jobs.launched) == 3


def test_a_fault_that_is_mended_does_not_keep_the_study_from_going_on(swept, tmp_path):
    with pytest.raises(UserError):
        swept(Jobs(lambda words: UserError("no")), 9, ["data.batch_size=0"])
    assert states(swept(Jobs(), 5)) == ["FAIL"] * 3 + ["COMPLETE"] * 2


def test_a_trial_that_its_job_has_marked_is_pruned_with_its_last_value(swept, tmp_path):
    def job(words):
        if "hydra.sweeper.trial=1" in words:  # another connection to the database, as in another process
            storage = load_study("s", url(tmp_path))._storage
            trial_id = storage.get_trial_id_from_study_id_trial_number(1, 1)
            storage.set_trial_intermediate_value(trial_id, 4, 0.75)
            storage.set_trial_user_attr(trial_id, "pruned", True)
        return loss(words)

    study = swept(Jobs(job), 3)
    assert states(study) == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert study.get_trials()[1].value == 0.75


def test_only_trials_of_dead_sweeps_are_orphans(tmp_path):
    study = open_study("s", url(tmp_path))
    for owner in ("dead.lock", "alive.lock", "elsewhere.lock", None):
        trial = study.ask()
        if owner:
            trial.set_user_attr("owner", owner)
    (tmp_path / "dead.lock").touch()
    with alive(tmp_path / "alive.lock"):
        assert [trial.number for trial in orphans(study, tmp_path)] == [0]
        assert free_locks(tmp_path) == [tmp_path / "dead.lock"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dataset.size=64"], r"study s: its trials have no such override, this command has dataset.size=64"),
        (
            ["model.optimizer.lr=0.01"],
            r"this command has model.optimizer.lr=0.01; give another hydra.sweeper.study_name",
        ),
        (["heads=choice(coral, corn)"], "heads: study s has other choices"),
    ],
)
def test_a_study_never_mixes_what_cannot_be_compared(swept, arguments, words):
    swept(Jobs(), 2)
    with pytest.raises(UserError, match=words):
        swept(Jobs(), 4, arguments)
    where = ["trainer=gpu", "logger=csv", "extras.num_threads=1", "paths.cache_dir=x", "~callbacks.rich_progress_bar"]
    assert len(swept(Jobs(), 4, where).get_trials(states=(TrialState.COMPLETE,))) == 4


def test_a_study_whose_words_say_more_than_what_counts_now_goes_on(swept, tmp_path):
    swept(Jobs(), 2)
    study = load_study("s", url(tmp_path))
    study.set_user_attr("fixed", {"extras.num_threads": "extras.num_threads=1"})
    assert states(swept(Jobs(), 3)) == ["COMPLETE"] * 3


def test_a_search_that_begins_beside_another_must_be_the_same_before_that_one_has_a_result(swept):
    told = []

    def launch(batch, initial_job_idx):
        if not told:
            with pytest.raises(
                UserError, match=r"study s: its trials have no such override, this command has dataset.size=64"
            ):
                swept(Jobs(), 4, ["dataset.size=64"])
            told.append(True)
        return Jobs()(batch, initial_job_idx)

    assert states(swept(launch, 2)) == ["COMPLETE"] * 2


def test_a_new_study_does_not_train_in_the_directories_of_another(swept, tmp_path):
    swept(Jobs(), 2)
    (tmp_path / "0").mkdir()
    with pytest.raises(UserError, match=f"^{tmp_path}: holds the trials of another study; move it elsewhere, or "):
        swept(Jobs(), 2, storage=f"sqlite:///{tmp_path}/other.db")


def test_a_fixed_null_is_one(swept):
    jobs = Jobs()
    swept(jobs, 1, params=SPACE | {"seed": None})
    assert "seed=null" in jobs.launched[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"params": {"model": "cnn_tiny"}}, "hydra.sweeper.params: nothing is searched"),
        ({"storage": None}, "hydra.sweeper.storage: not given"),
        ({"storage": "no_such://place"}, "hydra.sweeper.storage: no_such://place cannot be opened"),
        ({"storage": "study.db"}, "hydra.sweeper.storage: the given URL cannot be opened"),
        ({"storage": "sqlite:////dev/null/study.db"}, "hydra.sweeper.storage: .*/dev/null"),
        ({"sampler": lambda: None}, "hydra/sweeper/sampler: grid is not supported"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_searched_is_one_line(swept, changes, words):
    with pytest.raises(UserError, match=words) as caught:
        swept(Jobs(), **changes)
    assert "\n" not in str(caught.value)


def test_a_message_never_shows_the_databases_password(swept):
    with pytest.raises(UserError, match=r"hydra.sweeper.storage: ") as caught:
        swept(Jobs(), storage="postgresql+nosuchdriver://me:secret@host/db")
    assert "secret" not in str(caught.value)


def test_nothing_is_written_but_below_the_sweeps_directory(swept, tmp_path):
    swept(Jobs(), 2)
    assert {path.name for path in Path(tmp_path).iterdir()} == {"study.db", "best.yaml"}


def test_a_study_that_is_only_read_stays_as_it_was(tmp_path):
    open_study("s", url(tmp_path)).ask()
    before = (tmp_path / "study.db").read_bytes()
    assert len(load_study("s", read_only_url(tmp_path / "study.db")).get_trials()) == 1
    assert (tmp_path / "study.db").read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["study.db"]


def test_what_is_no_study_is_one_line_and_stays_as_it_was(tmp_path):
    open_study("s", url(tmp_path))
    (tmp_path / "link.db").symlink_to(tmp_path / "study.db")
    (tmp_path / "text.db").write_text("no database" * 100)
    sqlite3.connect(tmp_path / "other.db").execute("create table history (id)")
    with sqlite3.connect(tmp_path / "view.db") as database:
        database.execute(
            "create view trials as with recursive r(i) as (select 1 union all select i from r) select * from r"
        )
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("link", "text", "other", "view", "gone"):
        with pytest.raises(UserError, match=rf"{name}\.db: .*; give the study\.db of a search$"):
            read_only_url(tmp_path / f"{name}.db")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
