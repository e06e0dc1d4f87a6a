"""What is left of jobs whose process has died, read by a sweep that did not see it happen."""

import json
import multiprocessing
import os
import signal
import threading
import time

import pytest
from hydra.core.utils import JobStatus

from src.run.lock import exclusive_run, is_in_use
from src.run.record import Session
from src.search.trials import left_behind
from src.utils.errors import UserError


def train_in(directory, ready, seconds):
    with exclusive_run(directory), Session(directory, {}) as session:
        ready.set()
        time.sleep(seconds)
        session["score"] = 0.25


@pytest.fixture
def training(tmp_path):
    """Start a process that trains in tmp_path for some seconds."""
    ready = multiprocessing.get_context("fork").Event()

    def start(seconds):
        process = multiprocessing.get_context("fork").Process(target=train_in, args=(tmp_path, ready, seconds))
        process.start()
        assert ready.wait(30)
        return process

    return start


def test_a_job_that_still_runs_is_waited_for_and_its_score_is_its_result(tmp_path, training):
    process = training(1)
    assert is_in_use(tmp_path)
    job = left_behind(tmp_path)
    assert (job.status, job.return_value) == (JobStatus.COMPLETED, 0.25)
    process.join()
    assert not is_in_use(tmp_path)


def test_a_job_that_was_killed_has_no_result(tmp_path, training):
    process = training(60)
    waiting = threading.Timer(0.5, os.kill, (process.pid, signal.SIGKILL))
    waiting.start()
    assert left_behind(tmp_path).status == JobStatus.UNKNOWN
    process.join()


def test_a_job_that_failed_by_itself_keeps_its_cause(tmp_path):
    with pytest.raises(ValueError), Session(tmp_path, {}):
        raise ValueError("no such\nfile")
    job = left_behind(tmp_path)
    assert job.status == JobStatus.FAILED and isinstance(job._return_value, UserError)
    assert str(job._return_value) == "no such file"


@pytest.mark.parametrize("content", [None, "", '{"sessions": []}'])
def test_a_job_that_never_began_has_no_result(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    assert left_behind(tmp_path / ("" if content is not None else "not_there")).status == JobStatus.UNKNOWN


def test_a_record_of_several_sessions_tells_of_the_last(tmp_path):
    sessions = [{"outcome": "finished", "score": 1.0}, {"outcome": "interrupted", "score": None}]
    (tmp_path / "run.json").write_text(json.dumps({"sessions": sessions}))
    assert left_behind(tmp_path).status == JobStatus.UNKNOWN
