"""The base class of callbacks that show what a validation has computed, as sounds, figures or metrics."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, cast

import numpy as np
import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from src.callbacks.base import ScheduledCallback
from src.data.dataset import Batch, map_tensors
from src.data.origin import source_of
from src.data.source import Source
from src.evaluation.metrics.clips import resample
from src.models.tasks.parameters import predicts_parameters
from src.models.tasks.task import NO_PARAMETERS, Outputs
from src.models.vimh_lit_module import VIMHLitModule
from src.spectral.audio_file import RATES
from src.utils.errors import UserError

log = logging.getLogger(__name__)

Arrays = Mapping[str, np.ndarray]


class SoundCallback(ScheduledCallback):
    """Collects what the validation steps computed for the first `max_samples` sounds, then calls `show` with it.

    It does so in the first validation and again in those that come at least `interval` steps or epochs after the last
    one that it showed. It repeats no forward pass and draws no random numbers. Of several processes, the first shows
    its part of the validation split. `directory` receives the files of a run without TensorBoard and W&B. `trust` lists
    the user's own voices that a dataset may name. What cannot be shown at all, for example sounds of a synth that is
    not installed, is one warning.
    """

    rank_zero = True
    state: ClassVar[Sequence[str]] = ("_last",)

    def __init__(
        self,
        interval: int,
        unit: Literal["steps", "epochs"],
        max_samples: int,
        directory: str | Path = "sounds",
        sample_rate: int | None = None,
        trust: Iterable[str] = (),
        on_error: str = "warn",
    ):
        super().__init__(after="validation", on_error=on_error)
        self.interval, self.unit, self.max_samples = interval, unit, max_samples
        self.directory, self.sample_rate, self.trust = Path(directory), sample_rate, list(trust)
        self._last: int | None = None  # the step or epoch that was shown last
        self._parts: list[Arrays] = []  # of this validation
        self._source: Source | None = None
        self._is_off = False
        name = type(self).__name__
        for value, meaning in ((interval, f"the number of {unit}"), (max_samples, "the number of sounds")):
            if not isinstance(value, int) or value < 1:
                raise UserError(f"{name}: {value!r} given for {meaning}; give a whole number, at least 1")
        if sample_rate is not None and sample_rate not in RATES:
            raise UserError(f"{name}.sample_rate: {sample_rate!r} given; give {RATES[0]} to {RATES[-1]} Hz, or null")

    def collect(self, module: VIMHLitModule, outputs: Outputs, batch: Batch) -> Arrays:
        """Return arrays of one row for each sound of a batch: true and predicted parameters (n, P) in physical units.

        Raises UserError if the task predicts no parameters, or if the data has no labels.
        """
        points = module.heads.points(outputs, batch)
        if points is None:
            is_unlabelled = predicts_parameters(module)
            raise UserError("the data has no labels to compare with" if is_unlabelled else NO_PARAMETERS)
        return {"true": points.truth, "predicted": points.predicted}

    def show(self, trainer: Trainer, module: VIMHLitModule, collected: Arrays) -> None:
        """Show what `collect` returned; a UserError ends the showing, not the run."""
        raise NotImplementedError

    def source(self, module: VIMHLitModule) -> Source:
        """Return the dataset's synth and front end; raise UserError if they are not available."""
        if self._source is None:
            self._source = source_of(module.spec, self.trust)
        return self._source

    def render(self, module: VIMHLitModule, collected: Arrays) -> tuple[Tensor, Tensor, int]:
        """Return predicted and target sounds (n, T) float32, and their sample rate, by default the synth's."""
        source = self.source(module)
        rate = source.front_end.sample_rate
        values = np.concatenate([collected["predicted"], collected["true"]])
        sounds = resample(torch.from_numpy(source.sounds(values)), rate, self.sample_rate)
        predicted, target = sounds.chunk(2)
        return predicted, target, self.sample_rate or rate

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._parts = []

    def on_validation_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Outputs | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        missing = self.max_samples - sum(len(part["predicted"]) for part in self._parts)
        if outputs is None or missing <= 0 or not self._is_due(trainer):
            return
        outputs = {name: values[:missing] for name, values in outputs.items()}
        batch = map_tensors(lambda values: values[:missing], batch)
        try:
            self._parts.append(self.collect(cast(VIMHLitModule, pl_module), outputs, batch))
        except UserError as error:
            self._turn_off(error)

    def act(self, trainer: Trainer, pl_module: LightningModule) -> None:
        parts, self._parts = self._parts, []
        if not parts:
            return
        self._last = self._now(trainer)
        collected = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        try:
            self.show(trainer, cast(VIMHLitModule, pl_module), collected)
        except UserError as error:
            self._turn_off(error)

    def _is_due(self, trainer: Trainer) -> bool:
        if self._is_off or trainer.sanity_checking:
            return False
        return self._last is None or self._now(trainer) - self._last >= self.interval

    def _now(self, trainer: Trainer) -> int:
        return trainer.global_step if self.unit == "steps" else trainer.current_epoch + 1

    def _turn_off(self, error: UserError) -> None:
        self._is_off = True
        log.warning("%s shows nothing: %s", type(self).__name__, error)
