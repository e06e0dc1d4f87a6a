"""Metrics of torchmetrics by short names, for configs: `metrics: [jaccard, {metric: f1, average: micro}]`."""

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from src.utils.errors import UserError, did_you_mean, one_line, shown

# Classes, which are imported when they are used, and arguments other than their defaults. Dice of whole classes is F1;
# torchmetrics' DiceScore keeps every image.
OF_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "auroc": ("src.models.auroc.PresentAUROC", {"thresholds": 200}),  # otherwise it would keep every pixel
    "dice": ("torchmetrics.classification.MulticlassF1Score", {}),
    "f1": ("torchmetrics.classification.MulticlassF1Score", {}),
    "jaccard": ("torchmetrics.classification.MulticlassJaccardIndex", {}),
    "precision": ("torchmetrics.classification.MulticlassPrecision", {}),
    "recall": ("torchmetrics.classification.MulticlassRecall", {}),
}
OF_BOXES: dict[str, tuple[str, dict[str, Any]]] = {
    "box_iou": ("torchmetrics.detection.IntersectionOverUnion", {}),
    "ciou": ("torchmetrics.detection.CompleteIntersectionOverUnion", {}),
    "diou": ("torchmetrics.detection.DistanceIntersectionOverUnion", {}),
    "giou": ("torchmetrics.detection.GeneralizedIntersectionOverUnion", {}),
}
_ARGUMENTS = {"class": ("average", "ignore_index", "thresholds", "top_k"), "box": ("iou_threshold",)}
_COUNTS = ("thresholds", "top_k")
_AVERAGES = ("macro", "micro", "weighted")
_TAKEN = ("acc", "acc1", "loss", "mae", "rmse")  # metrics that heads and maps have anyway

Config = str | Sequence[str | Mapping[str, Any]]


class ClassMetrics(nn.Module):
    """Metrics of one categorical output, over an epoch and over all processes.

    `config` is a name of OF_CLASSES, or a list of names and of mappings {metric: NAME, name: ..., ...} with arguments
    of the class in torchmetrics: `average` (macro, micro or weighted), `ignore_index`, `thresholds` and `top_k`. The
    `name` of a result is that of the metric if it is not given. Raises UserError, which begins with `key`.
    """

    def __init__(self, config: Config, num_classes: int, key: str):
        super().__init__()
        self.metrics = nn.ModuleDict(_made(config, "class", key, {"num_classes": num_classes}))

    @property
    def names(self) -> list[str]:
        """The keys of the results."""
        return list(self.metrics)

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Add a batch: probabilities (B, K) and classes (B,) int64, or of maps (B, K, H, W) and (B, H, W)."""
        device = probabilities.device
        if device.type == "mps":  # as below
            device = torch.device("cpu")
        with _counting():
            for metric in _each(self.metrics).values():
                metric.to(device).update(probabilities.detach().to(device), target.to(device))

    def results(self) -> dict[str, Tensor]:
        """Return the metrics by name, and reset them."""
        return _results(self.metrics)


class BoxMetrics(nn.Module):
    """Metrics of pairs of boxes, as ClassMetrics: of names of OF_BOXES; their argument is `iou_threshold`."""

    def __init__(self, config: Config, key: str):
        super().__init__()
        self.metrics = nn.ModuleDict(_made(config, "box", key, {}))

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch of boxes, (B, 4) each: x1, y1, x2, y2."""
        label = torch.zeros(1, dtype=torch.int64, device=target.device)
        predicted, true = (
            [{"boxes": box[None], "labels": label} for box in boxes] for boxes in (prediction.detach(), target)
        )
        for metric in _each(self.metrics).values():
            metric.update(predicted, true)

    def results(self) -> dict[str, Tensor]:
        """Return the means over pairs by name, and reset them."""
        return {name: next(iter(values.values())) for name, values in _results(self.metrics).items()}


@contextmanager
def _counting() -> Iterator[None]:
    """Let torchmetrics count by torch.bincount, which is exact for whole numbers although it is not allowed everywhere.

    Where it is not, in deterministic mode and on MPS, torchmetrics compares each number with all others: gigabytes.
    """
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


def _each(metrics: nn.ModuleDict) -> dict[str, Metric]:
    return {name: cast(Metric, metric) for name, metric in metrics.items()}


def _results(metrics: nn.ModuleDict) -> dict[str, Any]:
    found = {}
    for name, metric in _each(metrics).items():
        found[name] = metric.compute()
        metric.reset()
    return found


def _made(config: Config, of: Literal["class", "box"], key: str, given: Mapping[str, Any]) -> dict[str, Metric]:
    """Return the metrics of a config by name."""
    known = OF_CLASSES if of == "class" else OF_BOXES
    found = {}
    for name, kind, arguments in _entries(config, key):
        if kind not in known:
            raise UserError(f"{key}: no metric '{kind}'.{did_you_mean(kind, known)}")
        for argument, value in arguments.items():
            if argument not in _ARGUMENTS[of]:
                raise UserError(f"{key}.{name}.{argument}: no such argument.{did_you_mean(argument, _ARGUMENTS[of])}")
            if argument == "average" and value not in _AVERAGES:
                raise UserError(f"{key}.{name}.average: {shown(value)} given; give one of {', '.join(_AVERAGES)}")
            if argument in _COUNTS and isinstance(value, int) and value < 1:  # torchmetrics fails only when it is used
                raise UserError(f"{key}.{name}.{argument}: {shown(value)} given; give at least 1")
        path, usual = known[kind]
        module, _, attribute = path.rpartition(".")
        make = getattr(importlib.import_module(module), attribute)
        try:
            found[name] = make(**{**usual, **arguments, **given})
        except (TypeError, ValueError) as error:
            raise UserError(f"{key}.{name}: {one_line(error)}") from error
    return found


def _entries(config: Config, key: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the name, the kind and the arguments of each metric; raise UserError for a config of another form."""
    entries = [config] if isinstance(config, str) else config
    if not isinstance(entries, Sequence):
        raise UserError(f"{key}: {shown(config)} given; give a list of names, as in [f1, jaccard]")
    seen = set()
    for entry in entries:
        arguments = {"metric": entry} if isinstance(entry, str) else entry
        if not isinstance(arguments, Mapping) or not isinstance(arguments.get("metric"), str):
            raise UserError(f"{key}: {shown(entry)} given; give a name, or {{metric: NAME}} with arguments")
        arguments = dict(arguments)
        kind = arguments.pop("metric")
        name = arguments.pop("name", kind)
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", str(name)) or name in _TAKEN or name in seen:
            raise UserError(f"{key}: name: {shown(name)} given; give another, of lower-case letters, digits and _")
        seen.add(name)
        yield name, kind, arguments
