"""What may happen when a damaged file is read, and what may not."""

import contextlib
import logging
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from src.utils.errors import UserError

SECONDS = 5.0  # of processor time
MEGABYTES = 500  # more than the process has before
_LONGEST = 1000  # characters of a message: two lines of a file's name, and what is wrong


class Silent(Exception):
    """A damaged file was read as if it were whole, and says something else."""


@dataclass(frozen=True)
class Verdict:
    """`outcome` is read, refused, or what no file may cause: traceback, silent, canary, slow, message."""

    outcome: str
    detail: str = ""

    @property
    def is_fault(self) -> bool:
        return self.outcome not in ("read", "refused")


def judge(read: Callable[[], None], canary: Path | None = None) -> Verdict:
    """Read one file; `canary` is the file that a stranger's code would create."""
    began = time.process_time()
    try:
        read()
        verdict = Verdict("read")
    except UserError as error:
        verdict = _judge_message(str(error))
    except Silent as error:
        verdict = Verdict("silent", str(error))
    except Exception:  # noqa: BLE001 (whatever it is, it is a fault)
        verdict = Verdict("traceback", traceback.format_exc(limit=-4))
    if canary is not None and canary.exists():
        return Verdict("canary", str(canary))
    seconds = time.process_time() - began
    if seconds > SECONDS and not verdict.is_fault:
        return Verdict("slow", f"{seconds:.1f} s")
    return verdict


def _judge_message(message: str) -> Verdict:
    try:
        message.encode()
    except UnicodeEncodeError:
        return Verdict("message", ascii(message))
    if len(message.splitlines()) != 1 or len(message) > _LONGEST or not message.isprintable():
        return Verdict("message", ascii(message[:2000]))
    return Verdict("refused", message)


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Let this process allocate 500 MB more than it has; more is a MemoryError, which is a traceback."""
    if sys.platform != "linux":
        yield
        return
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEGABYTES * 10**6, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Warnings(logging.Handler):
    """Collects what is logged as a warning."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    def take(self) -> list[str]:
        """Return what came since the last call."""
        found, self.messages = self.messages, []
        return found


@contextlib.contextmanager
def warnings_taken() -> Iterator[Warnings]:
    """Collect the warnings of all loggers, and let nothing print them."""
    handler, root = Warnings(), logging.getLogger()
    before, root.handlers = root.handlers, [handler]
    try:
        yield handler
    finally:
        root.handlers = before
