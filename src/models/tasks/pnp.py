"""Perceptual-neural-physical loss: errors of parameters, weighed by how much they change the image."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.data.dataset import Batch
from src.data.jacobian import choose_steps, jacobian
from src.data.origin import source_of
from src.data.source import Source
from src.data.spec import DatasetSpec
from src.models.tasks.added_loss import AddedLossTask, require_labels
from src.models.tasks.task import Outputs
from src.parameters.codec import to_unit
from src.utils.errors import UserError

_STEP_POINTS = 8
_MOST_KEPT = 2**18  # matrices: 70 MB for 4 parameters, 160 MB for 10


class PNPTask(AddedLossTask):
    """Parameters, trained by a quadratic form of their errors, which approximates the difference of the images.

    With errors e (P,) on [0, 1] and the image's Jacobian J at the label, the loss is e^T M e / 2, where M is
    J^T J / trace(J^T J) plus `damping` times the identity / P. The trace removes the scale, which varies between clips;
    the damping trains parameters that the image hardly shows: a large one is a mean squared error. J is measured
    with the dataset's synth, once for each label, and needs no differentiable voice. Parameters that are not continuous
    keep their own losses.

    Source: Han, Lostanlen, Lagrange, Learning to Solve Inverse Problems for Perceptual Sound Matching, IEEE/ACM TASLP,
    arXiv 2311.14213; the normalisation and the constant damping are ours.
    """

    added = "pnp"

    def __init__(
        self,
        feature_dim: int,
        spec: DatasetSpec,
        heads: Mapping[str, Any],
        balance: str = "weights",
        weight: float = 1.0,
        damping: float = 0.1,
    ):
        others = [parameter.name for parameter in spec.space if parameter.kind != "continuous"]
        super().__init__(feature_dim, spec, heads, balance, others, weight)
        if isinstance(damping, bool) or not isinstance(damping, int | float) or not 0 <= damping < float("inf"):
            raise UserError(f"model.task.damping: {damping!r} given; give a number of at least 0")
        if len(others) == len(spec.space):
            raise UserError("loss=pnp: no parameter is continuous, so the image has no derivative; give loss=labels")
        self._spec = spec
        self.damping = damping
        self._source: Source | None = None
        self._kept_matrices: dict[bytes, np.ndarray] = {}  # by the label's bytes

    def prepare(self, trust: Iterable[str]) -> None:
        if self.is_ready:
            return
        source = source_of(self._spec, trust)
        space = source.synth.space
        points = space.normalize(space.sample(source.recipe.dataset.seed, 0, _STEP_POINTS))
        varied = np.array([parameter.kind == "continuous" for parameter in space])
        self._source = source
        self._steps = choose_steps(self._images, points, varied)  # of the recipe alone, so that they are reproducible
        self.is_ready = True

    def measure_added(self, outputs: Outputs, batch: Batch) -> Tensor:
        target = require_labels(batch)
        with torch.autocast(self.weights.device.type, enabled=False):
            values = self.trained_only(self.values(outputs)).unbind(dim=1)
            columns = zip(self.space, values, strict=True)
            unit = torch.stack([to_unit(spec, value) for spec, value in columns], dim=1)
            error = unit - target.to(unit.dtype)
            matrices = self.matrices(target).to(error)
            return 0.5 * torch.einsum("bp,bpq,bq->b", error, matrices, error).mean()

    def matrices(self, target: Tensor) -> Tensor:
        """Return M (B, P, P) float32, on the CPU, of labels (B, P) in [0, 1]."""
        labels = target.detach().float().cpu().numpy()
        keys = [label.tobytes() for label in labels]
        known = {key: self._kept_matrices[key] for key in keys if key in self._kept_matrices}
        new = [at for at, key in enumerate(keys) if key not in known]
        if new:
            for at, matrix in zip(new, self._measured(labels[new]), strict=True):
                known[keys[at]] = matrix
                if len(self._kept_matrices) < _MOST_KEPT:
                    self._kept_matrices[keys[at]] = matrix
        return torch.from_numpy(np.stack([known[key] for key in keys]))

    def _measured(self, labels: np.ndarray) -> np.ndarray:
        derivatives = jacobian(self._images, labels, self._steps)
        squared = derivatives @ derivatives.transpose(0, 2, 1)
        trace = np.trace(squared, axis1=1, axis2=2)[:, None, None]
        free = self._steps > 0
        identity = np.diag(free / free.sum())
        normalised = np.divide(squared, trace, out=np.zeros_like(squared), where=trace > 0)  # 0 for silence
        return (normalised + self.damping * identity).astype(np.float32)

    def _images(self, unit: np.ndarray) -> np.ndarray:
        assert self._source is not None
        return self._source.float_images(self._source.synth.space.denormalize(unit))[0]
