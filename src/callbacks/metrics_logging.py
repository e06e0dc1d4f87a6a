"""Audio metrics of the sounds that a validation predicted."""

import logging
from collections.abc import Iterable, Sequence

from lightning import Trainer

from src.callbacks.fad_computation import FAD_SAMPLES, sound_distance
from src.callbacks.showing import show_values
from src.callbacks.sound_callback import Arrays, SoundCallback
from src.evaluation.metrics.table import METRICS
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError, did_you_mean

log = logging.getLogger(__name__)


class MetricsLoggingCallback(SoundCallback):
    """Logs the mean of each of `metrics` over the first sounds of a validation as sounds/NAME.

    `metrics` are names in src.evaluation.metrics.table.METRICS. `compute_fad` adds sounds/fad_logmel, of up to 512
    sounds, in showings at least `fad_every_n_epochs` apart; use it in place of FADComputationCallback.
    """

    needs_logger = True
    state = ("_last", "_last_fad")

    def __init__(
        self,
        log_every_n_epochs: int = 1,
        metrics: Sequence[str] = ("mss", "sot", "rms_cosine", "level_error"),
        sample_rate: int | None = None,
        max_samples_per_batch: int = 16,
        compute_fad: bool = False,
        fad_every_n_epochs: int = 5,
        trust: Iterable[str] = (),
        on_error: str = "warn",
    ):
        collected = max(max_samples_per_batch, FAD_SAMPLES) if compute_fad else max_samples_per_batch
        super().__init__(
            log_every_n_epochs, "epochs", collected, sample_rate=sample_rate, trust=trust, on_error=on_error
        )
        self.metrics, self.measured = list(metrics), max_samples_per_batch
        self.compute_fad, self.fad_every_n_epochs = compute_fad, fad_every_n_epochs
        self._last_fad: int | None = None
        for name in self.metrics:
            if name not in METRICS:
                raise UserError(f"MetricsLoggingCallback.metrics: '{name}' given.{did_you_mean(name, METRICS)}")

    def show(self, trainer: Trainer, module: VIMHLitModule, collected: Arrays) -> None:
        first = {name: values[: self.measured] for name, values in collected.items()}
        predicted, target, rate = self.render(module, first)
        means = {name: METRICS[name].function(predicted, target, rate).nanmean().item() for name in self.metrics}
        show_values(trainer, {name: mean for name, mean in means.items() if mean == mean})  # NaN: no clip has a value
        epoch = trainer.current_epoch + 1
        if self.compute_fad and (self._last_fad is None or epoch - self._last_fad >= self.fad_every_n_epochs):
            self._last_fad = epoch
            try:
                show_values(trainer, {"fad_logmel": sound_distance(self, module, collected)})
            except UserError as error:
                self.compute_fad = False
                log.warning("MetricsLoggingCallback computes no fad_logmel: %s", error)
