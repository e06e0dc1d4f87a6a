"""A PostgreSQL server of a test's own, from Debian's packages."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_USER = "postgres"  # of the database, and of the system where root runs the tests: the server refuses to run as root


class Postgres:
    """A server that trusts this machine; its data is gone with it."""

    def __init__(self, programs: Path, directory: Path):
        self.programs, self.directory = programs, directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://{_USER}@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "--auth=trust", f"--username={_USER}", "--no-sync")

    def start(self) -> None:
        own = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.directory}"
        self._run("pg_ctl", "--wait", f"--options={own}", f"--log={self.directory / 'log'}", "start")

    def stop(self) -> None:
        """As a machine that loses power: nobody is asked to leave, and the next start has to recover."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def _run(self, program: str, *words: str) -> None:
        line = [str(self.programs / program), f"--pgdata={self.directory / 'data'}", *words]
        user = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self.directory / "output").open("a") as output:  # a pipe would be held open by the server
            subprocess.run(line, cwd=self.directory, check=True, stdout=output, stderr=output, timeout=60, **user)


def _programs() -> Path:
    """Return where initdb and pg_ctl are, installed where that can be; else skip."""
    for attempt in range(2):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [shutil.which("initdb")]
        if found[-1]:
            return Path(found[-1]).parent
        if attempt or os.geteuid() or not shutil.which("apt-get"):
            pytest.skip("PostgreSQL is not installed, and only root can install it: apt-get install postgresql")
        line = ["apt-get", "install", "--yes", "--quiet", "postgresql"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            pytest.skip(f"PostgreSQL is not installed, and apt-get cannot: {done.stderr.strip().splitlines()[-1]}")
    raise AssertionError("unreachable")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server that runs; not below tmp_path, which its user could not enter, but as short-lived."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            shutil.chown(name, _USER, _USER)
        server = Postgres(programs, Path(name))
        server.start()
        try:
            yield server
        finally:
            if (server.directory / "data/postmaster.pid").exists():
                server.stop()
