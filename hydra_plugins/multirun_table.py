"""The default sweeper of -m; Hydra loads sweepers only from `hydra_plugins`."""

from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


class MultirunTableSweeper(Sweeper):
    """Run Hydra's own sweeper, `inner`; show one table of all runs at the end, even if a run has failed.

    Its arguments come from configs/hydra/sweeper/multirun_table.yaml.
    """

    def __init__(self, inner: DictConfig, **_: Any):
        self.inner = inner

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.directory = Path(config.hydra.sweep.dir)
        plain = config.copy()
        with open_dict(plain):
            plain.hydra.sweeper = self.inner
        self.sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=hydra_context, task_function=task_function, config=plain
        )

    def sweep(self, arguments: list[str]) -> Any:
        try:
            return self.sweeper.sweep(arguments)
        finally:
            from src.run.multirun_table import show_multirun

            show_multirun(self.directory)
