"""Two processes that want the same lock, and one that died with it."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from src.utils.locks import alive, is_free, locked, remove_free
from tests import running

HOLD = """
import sys, time
from pathlib import Path
from src.utils.locks import locked
with locked(Path(sys.argv[1])):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    time.sleep(float(sys.argv[2]))
"""


def holder(path, seconds):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], cwd=running.ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process, time.monotonic()


def test_the_second_waits_for_the_first(tmp_path):
    process, began = holder(tmp_path / "a/lock", 0.5)
    with locked(tmp_path / "a/lock"):
        assert time.monotonic() - began > 0.3
    assert process.wait() == 0
    assert not (tmp_path / "a/lock").exists()


def test_a_killed_one_holds_nothing(tmp_path):
    process, began = holder(tmp_path / "lock", 60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with locked(tmp_path / "lock"):
        assert time.monotonic() - began < 30
    assert not (tmp_path / "lock").exists()


def test_a_file_is_free_once_its_process_is_gone_and_never_was_where_there_is_none(tmp_path):
    path = tmp_path / "a/lock"
    assert not is_free(path)
    with alive(path):
        assert not is_free(path)
    assert path.exists() and is_free(path)


def test_what_is_removed_in_the_moment_it_is_made_is_made_again(tmp_path, monkeypatch):
    path, real = tmp_path / "lock", fcntl.flock

    def removing(file, how):
        monkeypatch.setattr(fcntl, "flock", real)
        path.unlink()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", removing)
    with alive(path):
        assert path.exists() and not is_free(path)


def test_only_what_nobody_holds_is_removed(tmp_path):
    held, free = tmp_path / "held", tmp_path / "free"
    free.touch()
    with alive(held):
        for path in (held, free, tmp_path / "none"):
            remove_free(path)
        assert list(tmp_path.iterdir()) == [held]


def test_a_link_or_a_pipe_in_the_place_of_a_lock_file_is_an_error_and_changes_nothing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        for lock in (locked, alive):
            with pytest.raises(OSError, match=name), lock(tmp_path / name):
                pass
    assert not (tmp_path / "victim").exists()
