"""Two processes never train in one directory; one that was killed holds nothing."""

import errno
import multiprocessing
import os
import signal
import time

import pytest

from src.run.lock import exclusive_run, is_in_use
from src.utils.errors import UserError


def _hold(directory, connection):
    with exclusive_run(directory):
        connection.send("held")
        time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds tmp_path."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path, there))
    process.start()
    assert here.poll(20) and here.recv() == "held"
    yield process
    process.kill()
    process.join()


def test_a_directory_in_use_is_refused_with_who_uses_it_until_that_one_is_killed(tmp_path, holder):
    told = rf"^{tmp_path} is in use by process {holder.pid} on \S+; wait for it"
    with pytest.raises(UserError, match=told), exclusive_run(tmp_path):
        raise AssertionError
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with exclusive_run(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / "run.lock").read_text()
    assert (tmp_path / "run.lock").read_text() == ""


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_a_run_trains_and_seems_to_nobody_to_be_there(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.lockf", refuse)
    with exclusive_run(tmp_path):
        assert not is_in_use(tmp_path)


def test_what_else_keeps_a_lock_from_being_taken_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "a disk that fails")

    monkeypatch.setattr("fcntl.lockf", refuse)
    with pytest.raises(OSError, match="a disk that fails"), exclusive_run(tmp_path):
        raise AssertionError


def test_another_users_run_seems_to_be_in_use(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert is_in_use(tmp_path)


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    """As a loader's worker is one, that outlives a killed run for some seconds."""
    here, there = multiprocessing.Pipe()

    def main():
        with exclusive_run(tmp_path):
            pid = os.fork()
            if not pid:
                time.sleep(60)
            there.send(pid)
            time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=main)
    process.start()
    assert here.poll(20)
    worker = here.recv()
    process.kill()
    process.join()
    with exclusive_run(tmp_path):
        os.kill(worker, 0)
    os.kill(worker, signal.SIGKILL)


def test_other_processes_of_the_same_run_hold_nothing(tmp_path, holder, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")  # as torchrun sets it
    monkeypatch.setenv("RANK", "1")
    with exclusive_run(tmp_path):
        pass
