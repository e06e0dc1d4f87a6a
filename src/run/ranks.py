"""Find this process's rank from the environment variables of its launcher.

Lightning (on one machine), torchrun and srun start the same command once for each device.
"""

import logging
import os
import re
import threading
import time

from src.utils.errors import UserError

log = logging.getLogger(__name__)

_GRACE_SECONDS = 15.0  # a process that loses its connection, as with gloo, ends by itself in that time
_INTERACTIVE = ("bash", "interactive")  # SLURM jobs in which a user types: each command is a separate run
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # all variables that Lightning reads
# set in the processes that Lightning starts; so is WORLD_SIZE, but Lightning deletes it when training ends
_FROM_LIGHTNING = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK")


def rank() -> int:
    """Return this process's number among all processes of its run, or 0 if there is only one."""
    name = next((name for name in _launched_ranks() if name in os.environ), None)
    return _number(name) if name else 0


def drop_stray_ranks() -> list[str]:
    """Remove ranks from the environment that no launcher has set; return each as NAME=value.

    Otherwise Lightning would use them, and a process with a rank above 0 writes nothing. Raises UserError if a rank is
    not a number.
    """
    given = {name: _number(name) for name in _RANKS if name in os.environ}
    stray = [f"{name}={number}" for name, number in given.items() if number and name not in _launched_ranks()]
    for word in stray:
        del os.environ[word.partition("=")[0]]
    return stray


def _launched_ranks() -> tuple[str, ...]:
    """Return the rank variables that this process's launcher sets; the first that exists counts."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return ("RANK", "LOCAL_RANK")
    if by_srun():
        return _RANKS
    return ("LOCAL_RANK",) if all(name in os.environ for name in _FROM_LIGHTNING) else ()


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except ValueError:
        raise UserError(
            f"{name}: the environment sets it to '{os.environ[name]}', which is not a number; unset it"
        ) from None


def launched() -> dict[str, int]:
    """Return `devices` and `num_nodes` for the trainer as torchrun or srun started them, or {} without either."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        processes, devices = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        return {"devices": devices, "num_nodes": processes // devices}
    if by_srun():
        nodes = int(os.environ["SLURM_NNODES"])
        return {"devices": int(os.environ["SLURM_NTASKS"]) // nodes, "num_nodes": nodes}
    return {}


def leave_with_first() -> None:
    """End this process, if Lightning's launcher started it, soon after the first process of its run has died.

    Otherwise it would hold its device until NCCL stops waiting, ten minutes later. The first process ends if another
    process dies, see `explain_death`; torchrun and srun end all their processes.
    """
    if not rank() or launched():
        return
    first = os.getppid()

    def watch() -> None:
        while os.getppid() == first:
            time.sleep(1.0)
        time.sleep(_GRACE_SECONDS)
        log.error(
            "the first process of this run has ended unexpectedly, so process %d ends too; "
            "continue with resume=DIRECTORY",
            rank(),
        )
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def explain_death(record: logging.LogRecord) -> bool:
    """Rewrite the message that Lightning's launcher logs before it ends all processes because one has died.

    A filter for the logger `lightning.fabric.strategies.launchers.subprocess_script`.
    """
    found = re.match(r"\[rank: (\d+)\] Child process .* terminated with code (-?\d+)", record.getMessage())
    if found:
        record.msg = (
            "process %s of this run ended with status %s, so the other processes are stopped; "
            "continue with resume=DIRECTORY"
        )
        record.args, record.levelno, record.levelname = found.groups(), logging.ERROR, "ERROR"
    return True


def by_srun() -> bool:
    """Return whether srun started this process as one of several."""
    several = int(os.environ.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in os.environ
    return several and os.environ.get("SLURM_JOB_NAME") not in _INTERACTIVE
