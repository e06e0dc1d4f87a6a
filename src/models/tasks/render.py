"""Train on sound: predicted parameters are rendered and compared with what the network was given."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from src.data.dataset import Batch
from src.data.origin import source_of
from src.data.spec import DatasetSpec
from src.models.losses import Loss, create_loss_function
from src.models.tasks.added_loss import AddedLossTask, require_labels
from src.models.tasks.renderer import Renderer
from src.models.tasks.task import Outputs
from src.utils.errors import UserError


class RenderTask(AddedLossTask):
    """Parameters, trained by the sound that they make, and by labels unless `labels` is false.

    The predicted parameters go through the voice's differentiable twin and the front end; the sound's loss is the mean
    absolute difference of their image and the given one, as a fraction of the image's range. With `loss`, a config or
    the name of a loss on waveforms, it compares the sound with that of the labels instead. Its weight is 0 before epoch
    `from_epoch` (the first is 0) and rises linearly over `ramp_epochs` epochs to `weight`. Categories are held at their
    most likely value: they have no gradient.
    """

    added = "sound"

    def __init__(
        self,
        feature_dim: int,
        spec: DatasetSpec,
        heads: Mapping[str, Any],
        balance: str = "weights",
        labels: bool = True,
        weight: float = 1.0,
        from_epoch: int = 0,
        ramp_epochs: int = 1,
        loss: str | Mapping[str, Any] | None = None,
    ):
        compared = None if loss is None else _waveform_loss(loss, labels)
        super().__init__(feature_dim, spec, heads, balance, spec.space.names if labels else (), weight, compared)
        for key, count, least in (("from_epoch", from_epoch, 0), ("ramp_epochs", ramp_epochs, 1)):
            if isinstance(count, bool) or not isinstance(count, int) or count < least:
                raise UserError(f"model.task.{key}: {count!r} given; give a whole number, at least {least}")
        if not labels and from_epoch:
            raise UserError(f"model.task.from_epoch: {from_epoch} given, but nothing else is trained before; give 0")
        self._spec = spec
        self.waveform_loss = compared
        self.from_epoch, self.ramp_epochs = from_epoch, ramp_epochs
        self._is_trained = True

    @property
    def compares_images(self) -> bool:
        return self.waveform_loss is None

    def prepare(self, trust: Iterable[str]) -> None:
        if not self.is_ready:
            self.renderer = Renderer(source_of(self._spec, trust)).to(self.weights.device)
            self.is_ready = True

    def start_epoch(self, epoch: int) -> None:
        share = min(1.0, max(0.0, (epoch - self.from_epoch + 1) / self.ramp_epochs))
        self._is_trained = share > 0
        self.weights[-1] = share * self.full_weight

    def measure_added(self, outputs: Outputs, batch: Batch) -> Tensor:
        device = self.weights.device.type
        is_used = torch.is_grad_enabled() and self._is_trained
        with torch.set_grad_enabled(is_used), torch.autocast(device, enabled=False):
            values = self.trained_only(self.values(outputs))
            if self.waveform_loss is not None:
                with torch.no_grad():
                    wanted = self.renderer.sounds(self.renderer.physical(require_labels(batch)))
                return self.waveform_loss(self.renderer.sounds(values), wanted)
            found = self.renderer.images(values, batch.get("scale"))
            return (found - batch["image"].to(found.dtype)).abs().mean()


def _waveform_loss(config: str | Mapping[str, Any], labels: bool) -> Loss:
    if not labels:
        raise UserError("model.task.loss: it compares with the sound of the labels; loss=render_only has none")
    try:
        loss = create_loss_function(config)
    except ValueError as error:
        raise UserError(f"model.task.loss: {error}") from error
    if "waveform" not in loss.takes:
        raise UserError(f"model.task.loss: {loss.label} takes no waveforms; give one such as multi_scale_spectral")
    return loss
