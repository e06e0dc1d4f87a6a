"""Predicted against true parameters of a validation, one panel for each head."""

from pathlib import Path

from lightning import Trainer

from src.callbacks.showing import show_figure
from src.callbacks.sound_callback import Arrays, SoundCallback
from src.evaluation.plots import scatter_figure
from src.models.vimh_lit_module import VIMHLitModule


class ParameterVisualizationCallback(SoundCallback):
    """Plots predicted against true values of each head; it needs no synth."""

    def __init__(
        self,
        log_every_n_epochs: int = 10,
        max_samples_per_batch: int = 256,
        directory: str | Path = "sounds",
        on_error: str = "warn",
    ):
        super().__init__(log_every_n_epochs, "epochs", max_samples_per_batch, directory, on_error=on_error)

    def show(self, trainer: Trainer, module: VIMHLitModule, collected: Arrays) -> None:
        figure = scatter_figure(module.spec.space, collected["true"], collected["predicted"])
        show_figure(trainer, self.directory, "parameters", figure)
