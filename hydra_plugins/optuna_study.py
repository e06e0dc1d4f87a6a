"""The sweeper of `hparams_search=...`, here since Hydra takes sweepers from `hydra_plugins` alone."""

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaStudySweeper(Sweeper):
    """Gives each job of the launcher one trial of an Optuna study, until the study has `n_trials`.

    The sweeper of hydra-optuna-sweeper, whose samplers and way of writing search spaces these are, counts the trials
    of one start, leaves killed ones running for ever, cannot prune, and ends with the first job that fails.
    What is in configs/hydra/sweeper/optuna_study.yaml arrives here; nothing heavy is imported before it is needed,
    since Hydra loads this file whenever it starts.
    """

    def __init__(self, **settings: object):
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from src.evaluation.sweep_report import show
        from src.utils.sweep import search

        directory = self.config.hydra.sweep.dir
        study = search(self.launcher.launch, self.config, arguments, **self.settings)
        show(study, directory)
