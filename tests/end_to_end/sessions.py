"""Whole `python src/train.py ...` processes, forked from one that has imported what they need."""

import multiprocessing
import os
import runpy
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests import running

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        *("src.train", "src.cli.instantiate", "src.evaluation.tables", "tests.end_to_end.sessions"),
        *("src.callbacks.tensorboard_figures", "src.models.build", "torch.distributed"),
    ]
)


def start(log: Path, *words: str, slow_writes: float = 0.0, **variables: str) -> BaseProcess:
    """Start a command line, with some more variables in its environment; its output goes to `log`.

    `slow_writes` seconds pass while each file lies there whole under its temporary name.
    """
    process = _SERVER.Process(target=_train, args=(log, words, slow_writes, variables))
    process.start()
    return process


def finish(log: Path, *words: str, slow_writes: float = 0.0) -> tuple[int, str]:
    """Run a command line to its end; return its exit status and its output."""
    process = start(log, *words, slow_writes=slow_writes)
    process.join(300)
    return process.exitcode, log.read_text()


def until(condition: Callable[[], bool], ended: Callable[[], object], text: Callable[[], str]) -> None:
    """Wait for something that a process does; fail with its output when it ends before."""
    while not condition():
        assert not ended(), text()
        time.sleep(0.01)


def _train(log: Path, words: tuple[str, ...], slow_writes: float, variables: dict[str, str]) -> None:
    with log.open("a") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    os.environ.update(variables)
    sys.argv = [str(running.ROOT / "src/train.py"), *words]
    if slow_writes:
        fsync = os.fsync
        os.fsync = lambda number: (time.sleep(slow_writes), fsync(number))
    runpy.run_path(sys.argv[0], run_name="__main__")
