"""How a command with plain arguments starts and ends."""

import os
import signal
from pathlib import Path

import pytest

from src.cli.script import given_path, run_script
from src.run.record import version_line
from src.utils.errors import UserError


def ended(error, capsys):
    """Return the status and what is on standard error when a command ends with an error."""

    def main():
        raise error

    with pytest.raises(SystemExit) as raised:
        run_script(main)
    return raised.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("data: no\x1bsuch"), 1, "data: no\\x1bsuch\n"),
        (PermissionError(13, "Permission denied", "/a\nb"), 1, "/a\\nb: Permission denied\n"),
        (KeyboardInterrupt(), 128 + signal.SIGINT, "interrupted\n"),
    ],
    ids=["user", "file", "interrupt"],
)
def test_a_fault_is_one_line(error, status, message, capsys):
    assert ended(error, capsys) == (status, message)


def test_a_fault_of_the_program_has_its_traceback():
    for error in (ValueError("x"), OSError("no file is at fault")):
        with pytest.raises(type(error)):
            run_script(lambda error=error: (_ for _ in ()).throw(error))


def test_the_version_is_known_everywhere(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["show.py", "--version"])
    run_script(lambda: pytest.fail("the command ran"))
    assert capsys.readouterr().out == f"{version_line()}\n"


def test_a_path_may_begin_with_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert given_path("~/data") == Path("/home/someone/data") and given_path("a~b") == Path(os.curdir) / "a~b"
