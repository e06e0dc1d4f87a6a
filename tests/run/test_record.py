"""run.json: what a run was made by, each time, and how it ended."""

import json
import signal
import subprocess

import pytest
import torch
from submitit.core.utils import UncompletedJobError

from src.run.record import Session, environment_info, git_state, hardware, is_finished, read_record
from src.utils.errors import Interrupted


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("a\nb"), "failed: a b"),
        (Interrupted("stopped", signal.SIGTERM), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (RuntimeError(), "failed: RuntimeError"),
    ],
)
def test_each_way_to_end_is_told_and_kept_beside_the_next(tmp_path, error, outcome):
    with pytest.raises(type(error)), Session(tmp_path, {"seed": 3}) as entry:
        assert read_record(tmp_path)[-1]["outcome"] == "running"
        entry["score"] = 0.5
        raise error
    assert read_record(tmp_path)[-1]["outcome"] == outcome and not is_finished(tmp_path)
    with Session(tmp_path, {}):
        pass
    assert [one["outcome"] for one in read_record(tmp_path)] == [outcome, "finished"] and is_finished(tmp_path)
    first = read_record(tmp_path)[0]
    assert first["seed"] == 3 and first["score"] == 0.5 and first["started"] <= first["ended"]


def test_a_job_whose_time_was_up_was_interrupted(tmp_path):
    with pytest.raises(UncompletedJobError), Session(tmp_path, {}):
        raise UncompletedJobError("Job not requeued because: timed-out too many times.")
    assert read_record(tmp_path)[-1]["outcome"] == "interrupted"


def test_a_session_that_never_ended_was_killed(tmp_path):
    Session(tmp_path, {}).write()
    with Session(tmp_path, {}):
        assert [one["outcome"] for one in read_record(tmp_path)] == ["killed", "running"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"sessions": 3}', '{"sessions": [3]}', '{"sessions": [{}]}', "[" * 100_000]
)
def test_a_damaged_record_is_none(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    assert read_record(tmp_path) == [] and not is_finished(tmp_path)


def test_other_processes_of_a_run_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")  # as torchrun sets it
    monkeypatch.setenv("RANK", "1")
    with Session(tmp_path, {}):
        pass
    assert not list(tmp_path.iterdir())


def test_surroundings_are_plain_data_of_this_machine():
    found = json.loads(json.dumps(environment_info()))
    assert found["versions"]["torch"] == torch.__version__.split("+")[0]
    assert found["versions"]["neural-spectral-modeling-template"] == "0.1.0"
    assert hardware()["cores"] >= 1 and hardware()["memory_gib"] > 0.5 and hardware()["cpu"]


def test_git_tells_the_commit_and_a_hash_of_what_differs(tmp_path):
    def git(*words):
        line = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(line, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "first")
    clean = git_state(tmp_path)
    assert clean["commit"] == git("rev-parse", "HEAD").strip()
    assert (clean["dirty"], clean["diff_sha256"], clean["untracked"]) == (False, None, [])
    hashes = []
    for content in ("2", "3", "2"):
        (tmp_path / "a").write_text(content)
        hashes.append(git_state(tmp_path)["diff_sha256"])
    assert hashes[0] == hashes[2] != hashes[1] and git_state(tmp_path)["dirty"]
    git("checkout", "-q", "a")
    (tmp_path / "new").touch()
    assert git_state(tmp_path)["dirty"] and git_state(tmp_path)["untracked"] == ["new"]


def test_without_git_or_outside_a_repository_it_says_so(tmp_path, monkeypatch):
    assert "not a git repository" in git_state(tmp_path)["unknown"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == {"unknown": "git is not installed"}
