"""Searches on several processes and one PostgreSQL study: the commands of docs/sweeps.md, and what may go wrong."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from src.search import study as sweep_study
from src.search.study import KILLED, counts, load_study
from src.search.sweeper import search
from src.utils.errors import UserError
from tests import running
from tests.end_to_end.postgres import Postgres, postgres

__all__ = ["postgres"]
pytestmark = pytest.mark.slow

TINY = ("trainer=cpu", "dataset.size=64", "trainer.max_epochs=2", "logger=csv", "extras.num_threads=1")
ALWAYS = ("hydra/sweeper/pruner=none", "hydra.sweeper.pruner._target_=optuna.pruners.ThresholdPruner")
PROGRAMS = Path(sys.executable).parent
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@pytest.fixture(autouse=True)
def ray_token(tmp_path, monkeypatch) -> None:
    """The secret that a Ray asks for, which it would make in the home directory."""
    (tmp_path / "ray_token").write_text(uuid.uuid4().hex)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "ray_token"))


@pytest.fixture
def started(data_root, tmp_path, postgres) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a search of `n_trials`, two at a time; what still runs afterwards is killed."""
    processes = []

    def start(launcher: str, n_trials: int, *more: str) -> subprocess.Popen:
        paths = (f"paths.data_dir={data_root}", f"paths.log_dir={tmp_path}")
        study = (f"hydra.sweeper.storage={postgres.url}", f"hydra.sweeper.n_trials={n_trials}")
        words = ("-m", "hparams_search=vimh_optuna", f"hydra/launcher={launcher}", "hydra.sweeper.n_jobs=2")
        line = [sys.executable, str(running.ROOT / "src/train.py"), *words, *paths, *study, *TINY, *more]
        processes.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def output_of(process: subprocess.Popen) -> str:
    """Wait for a search that ends well; return all that it printed."""
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
    return output


def trials_of(server: Postgres):
    return load_study("vimh_optuna", server.url).trials


def directory_of(tmp_path: Path) -> Path:
    return tmp_path / "train/sweeps/vimh_optuna"


def trainer_of(trial: Path) -> int:
    """Return the process that trains in a trial's directory, once it does."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        held = trial / "run.lock"
        found = re.match(r"process (\d+) on", held.read_text()) if held.exists() else None
        if found and (trial / "run.json").exists():
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"nothing trains in {trial}")


@pytest.fixture
def cluster(tmp_path) -> Iterator[str]:
    """A Ray cluster of two nodes with one core each, both on this machine; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    common = ("--block", "--num-cpus=1", "--object-store-memory=78643200", "--disable-usage-stats")
    nodes = [("--head", f"--port={address.split(':')[1]}", "--include-dashboard=false"), (f"--address={address}",)]
    log, started = tmp_path / "ray.log", []
    try:
        for node in nodes:
            with log.open("a") as file:
                line = [str(PROGRAMS / "ray"), "start", *node, *common]
                started.append(subprocess.Popen(line, stdout=file, stderr=file))
            until = time.monotonic() + 60
            while log.read_text().count("Ray runtime started") < len(started):
                assert started[-1].poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.2)
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=60)


@pytest.mark.parametrize("launcher", ["joblib", "ray", "ray_cluster", "submitit_local"])
def test_every_launcher_searches_with_two_trials_at_a_time(started, postgres, tmp_path, launcher, request):
    more = ()
    if launcher == "ray_cluster":
        more = (f"hydra.launcher.ray.init.address={request.getfixturevalue('cluster')}",)
    output_of(started(launcher, 4, *more))
    trials, directory = trials_of(postgres), directory_of(tmp_path)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
    assert all(trial.value == min(trial.intermediate_values.values()) for trial in trials)
    assert {path.name for path in directory.iterdir()} - {".submitit"} == {
        *"0123",
        "best.yaml",
        "report.html",
        "runs.csv",
        "runs.md",
    }


@pytest.mark.parametrize("launcher", ["joblib", "ray", "submitit_local"])
def test_hopeless_trials_are_pruned_where_they_run(started, postgres, launcher):
    output_of(started(launcher, 2, *ALWAYS, "+hydra.sweeper.pruner.upper=0"))
    assert [(trial.state, len(trial.intermediate_values)) for trial in trials_of(postgres)] == [(ENDED[1], 1)] * 2


def test_two_searches_at_once_share_a_study_and_its_trials_are_as_many_as_asked_for(started, postgres, tmp_path):
    for process in [started("joblib", 6), started("ray", 6)]:
        output_of(process)
    trials = trials_of(postgres)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert len({trial.user_attrs["owner"] for trial in trials}) == 2
    best = load_study("vimh_optuna", postgres.url).best_trial.number
    assert f"# Trial {best}, the best of study" in (directory_of(tmp_path) / "best.yaml").read_text()


@pytest.mark.parametrize("launcher", ["joblib", "ray", "submitit_local"])
def test_a_trial_whose_process_is_killed_is_marked_and_another_takes_its_place(started, postgres, tmp_path, launcher):
    process = started(launcher, 3)
    os.kill(trainer_of(directory_of(tmp_path) / "0"), signal.SIGKILL)
    output = output_of(process)
    assert "a trial's process was killed" in output and "trial 0 was killed" in output
    trials = trials_of(postgres)
    assert trials[0].state == TrialState.FAIL and trials[0].user_attrs["cause"] == KILLED
    assert sum(map(counts, trials)) == 3
    if launcher != "joblib":  # which ends all its processes when one dies
        assert trials[1].state == TrialState.COMPLETE


def test_a_search_that_is_killed_takes_up_what_its_jobs_did_without_it(started, postgres, tmp_path):
    """SLURM's jobs, which submitit_local's stand for, do not end with the search that queued them."""
    process = started("submitit_local", 4)
    for number in "01":
        trainer_of(directory_of(tmp_path) / number)
    process.kill()
    process.communicate()
    output_of(started("submitit_local", 4))
    assert [trial.state for trial in trials_of(postgres)] == [TrialState.COMPLETE] * 4
    assert not list(directory_of(tmp_path).glob("*.lock"))


@pytest.mark.parametrize("launcher", ["basic", "joblib", "ray"])
def test_a_search_waits_for_a_database_that_is_away_for_ten_seconds(started, postgres, tmp_path, launcher):
    process = started(launcher, 4)
    trainer_of(directory_of(tmp_path) / "0")
    postgres.stop()
    time.sleep(10)
    postgres.start()
    output = output_of(process)
    assert "; waiting up to " in output and "reached after" in output
    assert [trial.state for trial in trials_of(postgres)] == [TrialState.COMPLETE] * 4


def test_a_database_that_stays_away_ends_a_search_which_then_goes_on(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_study, "AWAY_S", 1)
    server = {"up": True}

    def launch(batch, initial_job_idx):
        if "hydra.sweeper.trial=1" in batch[0]:
            postgres.stop()
            server["up"] = False
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=1.0)]

    def searched():
        hydra = {"sweep": {"dir": str(tmp_path)}, "runtime": {"choices": {}}}
        return search(
            *(launch, OmegaConf.create({"hydra": hydra, "monitor": "val/nmae"}), []),
            **{"study_name": "s", "storage": postgres.url, "sampler": RandomSampler(seed=0), "pruner": NopPruner()},
            **{"n_trials": 3, "n_jobs": 1, "max_failure_rate": 0.7, "params": {"model.optimizer.lr": "interval(0, 1)"}},
        )

    with pytest.raises(UserError, match=r"^hydra.sweeper.storage: .* continues study s$") as caught:
        searched()
    assert "\n" not in str(caught.value) and not server["up"]
    postgres.start()
    trials = searched().trials
    assert [trial.state for trial in trials] == [ENDED[0], TrialState.FAIL, ENDED[0], ENDED[0]]
    assert trials[1].user_attrs["cause"] == KILLED
