"""The sweeper of `hparams_search=...`; Hydra loads sweepers only from `hydra_plugins`."""

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaStudySweeper(Sweeper):
    """Run one trial of an Optuna study in each job of the launcher, until the study has `n_trials`.

    It uses the samplers and the notation of hydra-optuna-sweeper. That package's own sweeper counts only the trials
    of the current start, leaves killed trials in the state running, cannot prune, and ends when a job fails.
    The arguments come from configs/hydra/sweeper/optuna_study.yaml. Heavy modules are imported only when needed, since
    Hydra loads this file at every start.
    """

    def __init__(self, **settings: object):
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from src.search.report import show
        from src.search.sweeper import search

        directory = self.config.hydra.sweep.dir
        study = search(self.launcher.launch, self.config, arguments, **self.settings)
        show(study, directory)
