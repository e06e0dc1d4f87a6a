"""Two processes that want the same lock, and one that died with it."""

import os
import signal
import subprocess
import sys
import time

from src.utils.locks import locked
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
