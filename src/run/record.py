"""The record of a run: run.json in its directory, with one entry for each start or resumption."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from src.run.ranks import rank
from src.utils.errors import Interrupted
from src.utils.files import write_atomic
from src.utils.workers import worker_died

ROOT = Path(__file__).parents[2]
_LARGEST_BYTES = 2**21  # of a record; a session needs 3 KB, and reading may need 25 times the size
_PACKAGES = ("torch", "lightning", "numpy", "hydra-core")


def read_record(directory: Path) -> list[dict[str, Any]]:
    """Return a run's sessions, the newest last; empty if it has no readable record."""
    path = directory / "run.json"
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return []
        sessions = json.loads(path.read_text())["sessions"]
        valid = all(isinstance(session["outcome"], str) for session in sessions)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # users may edit it, and no run depends on it
        return []
    return list(sessions) if valid else []


def last_session(directory: Path | None) -> dict[str, Any]:
    """Return the newest session in a run's record; empty without a directory or a readable record."""
    sessions = [] if directory is None else read_record(directory)
    return sessions[-1] if sessions else {}


def is_finished(directory: Path) -> bool:
    """Return whether a run completed training and testing."""
    sessions = read_record(directory)
    return bool(sessions) and sessions[-1]["outcome"] == "finished"


class Session:
    """Records one start of a run: its config, code, machine and time at the start, its outcome at the end.

    The entry of a killed session says `running` until the next session corrects it. `details` are plain data for the
    entry.
    """

    def __init__(self, directory: Path, details: dict[str, Any]):
        self.directory = directory
        self.sessions = read_record(directory)
        for session in self.sessions:
            if session["outcome"] == "running":
                session["outcome"] = "killed"
        self.entry = {"started": _now(), "ended": None, "outcome": "running", "score": None, **details}
        self.sessions.append(self.entry)

    def __enter__(self) -> dict[str, Any]:
        """Write the entry and return it; later changes to it are written by `write`, or at the end."""
        self.write()
        return self.entry

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        self.entry["ended"] = _now()
        if error is None:
            self.entry["outcome"] = "finished"
        elif isinstance(error, (Interrupted, KeyboardInterrupt, SystemExit, *worker_died())):  # or a time limit
            self.entry["outcome"] = "interrupted"
        else:
            self.entry["outcome"] = f"failed: {' '.join(str(error).split()) or type(error).__name__}"
        try:
            self.write()
        except OSError:  # the disk is full: if that ended the run, show the run's own error
            if error is None:
                raise

    def write(self) -> None:
        """Write the record; only the first of several processes does."""
        if rank():
            return
        content = json.dumps({"sessions": self.sessions}, indent=2, default=str) + "\n"
        write_atomic(self.directory / "run.json", content.encode())


def environment_info() -> dict[str, Any]:
    """Return what else a run depends on, as plain data: command, code, versions and hardware."""
    return {
        "command": [sys.executable, *sys.argv],
        "git": git_state(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}} | _own(),
        "hardware": hardware(),
    }


def version_line() -> str:
    """Return the versions of this project, Python and torch, and the commit, without importing torch."""
    ((project, own),) = _own().items()
    git = git_state()
    commit = f"commit {git['commit'][:12]}{' with changes' if git['dirty'] else ''}" if "commit" in git else "no commit"
    return f"{project} {own}, Python {platform.python_version()}, torch {_version('torch')}, {commit}"


def git_state(root: Path = ROOT) -> dict[str, Any]:
    """Return the commit and the SHA-256 of the changes since then, or the reason why they are unknown."""

    def git(*words: str) -> bytes:
        line = ["git", "--no-optional-locks", *words]
        return subprocess.run(line, cwd=root, check=True, capture_output=True, timeout=30).stdout

    try:
        commit = git("rev-parse", "HEAD").decode().strip()
        changes = git("diff", "HEAD", "--binary")
        untracked = git("ls-files", "--others", "--exclude-standard").decode().split("\n")[:-1]
    except FileNotFoundError:
        return {"unknown": "git is not installed"}
    except subprocess.CalledProcessError as error:
        return {"unknown": error.stderr.decode(errors="replace").strip().split("\n")[0]}
    except subprocess.TimeoutExpired:
        return {"unknown": "git did not answer"}
    digest = hashlib.sha256(changes).hexdigest() if changes else None
    return {"commit": commit, "dirty": bool(changes or untracked), "diff_sha256": digest, "untracked": untracked}


def hardware() -> dict[str, Any]:
    """Return the processor, its cores, the memory in GiB, and the names of the accelerators."""
    import torch

    gpus = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(memory, 1),
        "gpus": gpus or (["mps"] if torch.backends.mps.is_available() else []),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.open() if line.startswith("model name")]
        return names[0] if names else platform.machine()
    if sys.platform == "darwin":
        line = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(line, check=False, capture_output=True, text=True).stdout.strip()
    return platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _own() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {project["name"]: project["version"]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
