"""The Frechet distance of target and predicted sounds of a validation, as sets."""

from collections.abc import Iterable

import torch
from lightning import Trainer

from src.callbacks.showing import show_values
from src.callbacks.sound_callback import Arrays, SoundCallback
from src.evaluation.metrics.frechet import frechet_distance, log_mel_statistics
from src.models.vimh_lit_module import VIMHLitModule

FAD_SAMPLES = 512  # twice what the distance needs, since it falls with the number of sounds
_BLOCK = 64  # sounds in memory at once


class FADComputationCallback(SoundCallback):
    """Logs `fad_logmel` of the first `max_samples` validation sounds as sounds/fad_logmel.

    It needs 256 sounds; with fewer, it logs one warning and no value.
    """

    needs_logger = True

    def __init__(
        self,
        fad_every_n_epochs: int = 5,
        sample_rate: int | None = None,
        max_samples: int = FAD_SAMPLES,
        trust: Iterable[str] = (),
        on_error: str = "warn",
    ):
        super().__init__(
            fad_every_n_epochs, "epochs", max_samples, sample_rate=sample_rate, trust=trust, on_error=on_error
        )

    def show(self, trainer: Trainer, module: VIMHLitModule, collected: Arrays) -> None:
        show_values(trainer, {"fad_logmel": sound_distance(self, module, collected)})


def sound_distance(callback: SoundCallback, module: VIMHLitModule, collected: Arrays) -> float:
    """Return `fad_logmel` of the sounds that a callback renders; raise UserError if there are too few."""
    embeddings = []
    for start in range(0, len(collected["true"]), _BLOCK):
        block = {name: values[start : start + _BLOCK] for name, values in collected.items()}
        predicted, target, rate = callback.render(module, block)
        embeddings.append([log_mel_statistics(sounds, rate) for sounds in (predicted, target)])
    return frechet_distance(*(torch.cat(blocks) for blocks in zip(*embeddings, strict=True)))
