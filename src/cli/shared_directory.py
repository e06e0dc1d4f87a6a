"""The words with which all processes of one run share its directory.

Each process composes its own config, so the name of the run's directory must come from values that all processes have.
"""

import os
import time

from src.cli.text_values import quote
from src.run.ranks import by_srun, rank
from src.utils.errors import UserError


def join_run(words: list[str]) -> list[str]:
    """Return a command line with which all processes share the run's directory; raise UserError if the run has no name.

    Lightning's own launcher does this for the processes that it starts.
    """
    name = _shared_name()
    if name is None:
        return words
    added = [] if rank() == 0 else ["hydra.output_subdir=null"]  # only the first process writes the config
    if not any(word.startswith("hydra.run.dir=") for word in words):
        directory = f"${{home:${{paths.log_dir}}}}/${{task_name}}/runs/{name}"
        added.append(f"hydra.run.dir={quote(directory)}")
    return [*words, *added]


def _shared_name() -> str | None:
    """Return torchrun's or srun's name of the run, which a requeue does not change: it continues in that directory."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return f"slurm_{os.environ['SLURM_JOB_ID']}_{os.environ.get('SLURM_STEP_ID', 0)}" if by_srun() else None
    given = os.environ["TORCHELASTIC_RUN_ID"]
    if given != "none":
        return f"torchrun_{given}"
    if int(os.environ["GROUP_WORLD_SIZE"]) > 1:
        raise UserError("torchrun: the run has no name that all nodes know; give each node the same --rdzv-id=NAME")
    return f"{time.strftime('%Y-%m-%d')}_torchrun_{os.getppid()}"  # the process that started all others
