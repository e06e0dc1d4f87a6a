"""Whole `python src/train.py ...` processes, forked from one that has imported what they need."""

import multiprocessing
import os
import resource
import runpy
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests import running

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["src.train", "src.cli.instantiate", "src.evaluation.tables", "tests.end_to_end.sessions"]
)


def start(log: Path, *words: str, slow_writes: float = 0.0, largest_file: int | None = None) -> BaseProcess:
    """Start a command line; its output goes to `log`.

    `slow_writes` seconds pass while each file lies there whole under its temporary name; no file can become
    larger than `largest_file` bytes, as on a full disk.
    """
    process = _SERVER.Process(target=_train, args=(log, words, slow_writes, largest_file))
    process.start()
    return process


def finish(log: Path, *words: str, **options: float | int | None) -> tuple[int, str]:
    """Run a command line to its end; return its exit status and its output."""
    process = start(log, *words, **options)
    process.join(300)
    return process.exitcode, log.read_text()


def until(condition: Callable[[], bool], ended: Callable[[], object], text: Callable[[], str]) -> None:
    """Wait for something that a process does; fail with its output when it ends before."""
    while not condition():
        assert not ended(), text()
        time.sleep(0.01)


def _train(log: Path, words: tuple[str, ...], slow_writes: float, largest_file: int | None) -> None:
    with log.open("a") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.argv = [str(running.ROOT / "src/train.py"), *words]
    if slow_writes:
        fsync = os.fsync
        os.fsync = lambda number: (time.sleep(slow_writes), fsync(number))
    if largest_file:
        sys.dont_write_bytecode = True  # Python would leave compiled modules cut off
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    runpy.run_path(sys.argv[0], run_name="__main__")
