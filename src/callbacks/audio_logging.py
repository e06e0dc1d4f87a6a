"""Target and predicted sounds of a validation, to listen to."""

from collections.abc import Iterable
from pathlib import Path

from lightning import Trainer

from src.callbacks.showing import show_sound
from src.callbacks.sound_callback import Arrays, SoundCallback
from src.models.vimh_lit_module import VIMHLitModule


class AudioLoggingCallback(SoundCallback):
    """Shows the sounds of true and of predicted parameters as N_target and N_prediction.

    Both are rendered from parameters, so that they differ only by the prediction. They are resampled to `sample_rate`;
    None keeps the synth's rate.
    """

    def __init__(
        self,
        log_every_n_steps: int = 1000,
        sample_rate: int | None = None,
        max_samples_per_batch: int = 4,
        directory: str | Path = "sounds",
        trust: Iterable[str] = (),
        on_error: str = "warn",
    ):
        super().__init__(log_every_n_steps, "steps", max_samples_per_batch, directory, sample_rate, trust, on_error)

    def show(self, trainer: Trainer, module: VIMHLitModule, collected: Arrays) -> None:
        predicted, target, rate = self.render(module, collected)
        for name, sounds in (("target", target), ("prediction", predicted)):
            for index, sound in enumerate(sounds):
                show_sound(trainer, self.directory, f"{index}_{name}", sound.numpy(), rate)
