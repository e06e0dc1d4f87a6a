"""`python src/app.py`: fast help, one line for each mistake, and a clean end."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests import running
from tests.cli.test_entry import HEAVY


def test_help_imports_nothing_heavy():
    done = running.command("src/app.py", "--help", flags=("-X", "importtime"))
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0 and "--port" in done.stdout and max(map(len, done.stdout.splitlines())) <= 80
    assert not imported.intersection({*HEAVY, "starlette", "uvicorn"})


@pytest.mark.long
def test_mistakes_are_one_line(tmp_path):
    ckpt = tmp_path / "a.ckpt"
    ckpt.touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases = {
            ("none.ckpt",): "ckpt_path: none.ckpt does not exist; give a .ckpt file, best, or last",
            ("--log-dir", str(tmp_path)): f"ckpt_path: no run in {tmp_path}/train/runs has a best.ckpt; train a model",
            (str(ckpt), "--port", str(port)): f"--port: {port} cannot be used (",
            (str(ckpt), "--port", "70000"): "--port: 70000 cannot be used (",
        }
        for given, words in cases.items():
            done = running.command("src/app.py", *given)
            assert done.returncode == 1 and done.stdout == ""
            assert done.stderr.startswith(words) and done.stderr.count("\n") == 1, done.stderr


def test_a_missing_package_is_one_line_with_its_remedy(tmp_path):
    (tmp_path / "a.ckpt").touch()
    blocked = "import sys, runpy, importlib.util as u; find = u.find_spec; "
    blocked += "u.find_spec = lambda name, *rest: None if name == 'uvicorn' else find(name, *rest); "
    blocked += "sys.argv = ['src/app.py', sys.argv[1]]; runpy.run_path('src/app.py', run_name='__main__')"
    line = [sys.executable, "-c", blocked, str(tmp_path / "a.ckpt")]
    done = subprocess.run(line, cwd=running.ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr == "app: uvicorn is not installed; install it with: uv pip install -e '.[app]'\n"


@pytest.mark.parametrize(
    "wait_for",
    [pytest.param("Ctrl-C ends it", marks=pytest.mark.long), pytest.param("loaded: ", marks=pytest.mark.slow)],
)
def test_the_page_is_there_first_and_ctrl_c_ends_it(trained, wait_for):
    line = [sys.executable, str(running.ROOT / "src/app.py"), str(trained.best)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as app:
        told = ""
        while wait_for not in told:
            told += app.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", told)[0]
        with urllib.request.urlopen(url) as page:
            assert b"<title>" in page.read()
        app.send_signal(signal.SIGINT)
        rest = app.stdout.read()
    assert app.returncode == 0 and "Traceback" not in rest
