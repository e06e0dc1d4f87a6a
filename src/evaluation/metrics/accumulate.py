"""The metrics as torchmetrics classes, which accumulate over batches and processes."""

from functools import partial

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from src.evaluation.metrics.clips import checked
from src.evaluation.metrics.frechet import Embedder, frechet_distance, log_mel_statistics
from src.evaluation.metrics.table import METRICS
from src.utils.errors import UserError, did_you_mean, shown


class AudioMetric(Metric):
    """The mean over clips of one of `METRICS`, by its name; all values are kept, for medians and intervals."""

    full_state_update = False
    values: list[Tensor]

    def __init__(self, name: str, sample_rate: int):
        super().__init__()
        if name not in METRICS:
            raise UserError(f"metric: {shown(name)} given.{did_you_mean(name, METRICS)}")
        self.metric, self.sample_rate = METRICS[name], sample_rate
        self.add_state("values", [], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch of clips (B, T)."""
        self.values.append(self.metric.function(prediction, target, self.sample_rate))

    def per_clip(self) -> Tensor:
        """Return the values (N,) of all clips of this process so far."""
        return dim_zero_cat(self.values)

    def compute(self) -> Tensor:
        """Return the mean over the clips that have a value."""
        return self.per_clip().nanmean()


class FrechetAudioDistance(Metric):
    """`fad_logmel` over batches; sets may differ in size. It keeps embeddings, not clips."""

    full_state_update = False
    higher_is_better = False
    predictions: list[Tensor]
    targets: list[Tensor]

    def __init__(self, sample_rate: int, embed: Embedder | None = None):
        super().__init__()
        self.embed = partial(log_mel_statistics, sample_rate=sample_rate) if embed is None else embed
        self.add_state("predictions", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch of clips (B, T) to each set."""
        self.predictions.append(self.embed(checked(prediction, "prediction")))
        self.targets.append(self.embed(checked(target, "target")))

    def compute(self) -> Tensor:
        """Return the distance of the two sets; raise UserError if they have too few clips."""
        distance = frechet_distance(dim_zero_cat(self.predictions), dim_zero_cat(self.targets))
        return torch.tensor(distance, dtype=torch.float32)
