"""The guard notices what it is for, even where an error is caught, and nothing else."""

import contextlib
import importlib
import os
import socket
import subprocess

import pytest

from tests.mutation.guard import CANARY, guarded

ELSEWHERE = {
    "a process": lambda path: subprocess.run(["true"], check=True),
    "a shell": lambda path: os.system("true"),
    "the network": lambda path: socket.create_connection(("127.0.0.1", 9), timeout=0.1),
    "a name": lambda path: socket.getaddrinfo("localhost", 80),
    "the canary": lambda path: importlib.import_module(CANARY),
    "a file": lambda path: (path / "a").write_text("x"),
    "a descriptor": lambda path: os.close(os.open(path / "a", os.O_CREAT | os.O_WRONLY)),
    "a folder": lambda path: (path / "a").mkdir(),
    "a removed file": lambda path: (path / "there").unlink(),
    "a renamed file": lambda path: (path / "there").rename(path / "then"),
    "a secret file": lambda path: (path / "secret").read_text(),
}


@pytest.mark.parametrize("act", ELSEWHERE.values(), ids=ELSEWHERE)
def test_it_notices(tmp_path, act):
    (tmp_path / "there").touch()
    (tmp_path / "secret").touch()
    (tmp_path / "ours").mkdir()
    with (
        pytest.raises(AssertionError),
        guarded(tmp_path / "ours", secret=(tmp_path / "secret",)),
        contextlib.suppress(OSError),
    ):
        act(tmp_path)


def test_reading_and_writing_where_it_is_allowed_pass(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "there").touch()
    with guarded(tmp_path / "ours", secret=(tmp_path / "secret",)):
        (tmp_path / "ours/a").write_text((tmp_path / "there").read_text())
        (tmp_path / "ours/a").unlink()
