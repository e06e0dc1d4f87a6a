"""The datamodule of all sets of images with classes: a reader of files, and heads whose labels follow from a class."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError, validate_call

from src.data.datamodule import BatchDataModule
from src.data.dataset import Batch, BatchDataset
from src.data.images.cifar import read_cifar
from src.data.images.folder import read_folder
from src.data.images.idx import read_idx
from src.data.images.image_set import ImageSet, ImageSplit
from src.data.images.label_strategies import label_spec, make_labels
from src.data.images.sklearn_digits import read_digits
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.data.spec_schema import as_name
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError, did_you_mean, shown
from src.utils.invalid import describe

log = logging.getLogger(__name__)

READERS: dict[str, Callable[..., ImageSet]] = {
    "idx": read_idx,
    "cifar": read_cifar,
    "folder": read_folder,
    "digits": read_digits,
}
_ORDER_SEED = 0  # of the samples, so that every run has the same splits, whatever its own seed
_CHUNK = 4096  # images that are counted or hashed at a time
_LEAST_STD = 1.0 / 255.0  # a level: of a channel without contrast


class ImageDataset(BatchDataset):
    """The images in `rows` of an array (n, C, H, W) uint8, and their targets (n, P) float32 in [0, 1], in memory."""

    def __init__(self, spec: DatasetSpec, images: np.ndarray, targets: np.ndarray, rows: np.ndarray):
        self.spec, self.images, self._targets, self._rows = spec, images, targets, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        rows = self._rows[np.asarray(indices, np.int64)]
        return {"image": torch.from_numpy(self.images[rows]), "target": torch.from_numpy(self._targets[rows])}

    def targets(self) -> np.ndarray:
        return self._targets[self._rows]


class ImageDataModule(BatchDataModule):
    """Images of one set in memory, with one label for each head.

    `reader` holds the name of the files' format, a key of READERS, as `format`, and the reader's arguments; `root` is
    the folder of the files, which also names the set if `name` is not given. `labels` holds the strategy of each head,
    see src.data.images.label_strategies. `val_fraction` of the training images are for validation; if the files hold no
    test split, as many are for the test. `shift` pixels and `flip` are short for transforms of `augment`. The set is
    read when its description is first needed.
    """

    def __init__(
        self,
        reader: Mapping[str, Any],
        root: str | Path | None = None,
        name: str | None = None,
        labels: Mapping[str, Any] | None = None,
        val_fraction: float = 0.1,
        shift: int = 0,
        flip: bool = False,
        augment: Mapping[str, Any] | None = None,
        **loaders: Any,
    ):
        if not 0 < val_fraction < 0.5:
            raise UserError(f"data.val_fraction: {val_fraction} given; give a fraction above 0 and below 0.5")
        if shift < 0:
            raise UserError(f"data.shift: {shift} given; give a number of pixels, at least 0")
        usual: dict[str, Any] = {"flip": {}} if flip else {}
        if shift:
            usual["shift"] = {"pixels": shift}
        super().__init__(augment=usual | dict(augment or {}), **loaders)
        self.reader, self.labels = _plain(reader), _plain(labels or {"class": "identity"})
        self.data_dir = None if root is None else Path(root)
        self._name = name or (as_name(self.data_dir.resolve().name) if self.data_dir else "images")
        self.val_fraction = val_fraction
        self.settings = {
            "name": self._name,
            "reader": self.reader,
            "labels": self.labels,
            "val_fraction": val_fraction,
            "seed": self.seed,
            "eval_batch_size": self.eval_batch_size,
        }

    def checkpoint_settings(self) -> dict[str, Any]:
        """Return the settings of a checkpoint, which does not hold the folder: a file must not name what is read."""
        return {**self.settings, "format": "images"}

    @property
    def spec(self) -> DatasetSpec:  # type: ignore[override]
        """The set's description; reads the files."""
        return self._opened["train"].spec

    def open_split(self, split: str) -> ImageDataset:
        return self._opened[split]

    @cached_property
    def _opened(self) -> dict[str, ImageDataset]:
        images = _read(self.reader, self.data_dir)
        labels = make_labels(self.labels, images.classes)
        if synthetic := [head for head, found in labels.items() if found.synthetic]:
            log.info("synthetic labels, computed from the class and not from the image: %s", ", ".join(synthetic))
        space = ParameterSpace([label_spec(head, found) for head, found in labels.items()])
        of_class = np.stack([found.of_class for found in labels.values()], axis=1)
        targets = space.normalize(of_class).astype(np.float32)
        splits = self._split(images)
        spec = DatasetSpec(
            name=self._name,
            inputs=_inputs(*splits["train"]),
            targets=space,
            counts={split: len(splits[split][1]) for split in ("train", "val", "test")},
            sha256={split: _digest(*found) for split, found in splits.items()},
        )
        return {
            split: ImageDataset(spec, part.images, targets[part.classes], rows)
            for split, (part, rows) in splits.items()
        }

    def _split(self, images: ImageSet) -> dict[str, tuple[ImageSplit, np.ndarray]]:
        """Return the images and the rows of each split."""
        order = np.random.default_rng(_ORDER_SEED).permutation(len(images.train.classes))
        held_out = max(1, int(len(order) * self.val_fraction))
        if images.test is None:
            test, order = (images.train, order[:held_out]), order[held_out:]
        else:
            test = (images.test, np.arange(len(images.test.classes)))
        if held_out >= len(order):
            raise UserError(f"{self._name}: {len(images.train.classes)} images are too few to train on; add some")
        return {"test": test, "val": (images.train, order[:held_out]), "train": (images.train, order[held_out:])}


def _read(config: Mapping[str, Any], root: Path | None) -> ImageSet:
    """Read a set by the reader that a config names; a UserError names the key at fault."""
    options = dict(config)
    name = options.pop("format", None)
    if not isinstance(name, str) or name not in READERS:
        raise UserError(f"data.reader.format: {shown(name)} given.{did_you_mean(str(name), READERS)}")
    if root is None and name != "digits":
        raise UserError("data.root: not given; give the folder of the images, as in data.root=photos")
    if root is not None and not root.is_dir():
        raise UserError(f"data.root: {root} does not exist; give the folder of the images, see docs/images.md")
    try:
        return validate_call(READERS[name])(root, **options)
    except ValidationError as error:
        raise UserError(describe(error, "data.reader")) from error


def _inputs(part: ImageSplit, rows: np.ndarray) -> Inputs:
    """Return the shape of images, and the mean and deviation of each channel in the given rows, in [0, 1]."""
    channels = part.images.shape[1]
    counts = np.zeros((channels, 256), np.int64)  # of each level: exact sums, without floats for all pixels
    for start in range(0, len(rows), _CHUNK):
        chunk = part.images[rows[start : start + _CHUNK]]
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    levels, shares = np.arange(256) / 255.0, counts / counts.sum(axis=1, keepdims=True)
    means = shares @ levels
    deviations = np.sqrt((shares * (levels - means[:, None]) ** 2).sum(axis=1))
    shape = tuple(part.images.shape[1:])
    return Inputs(shape, "image", mean=tuple(means.tolist()), std=tuple(np.maximum(deviations, _LEAST_STD).tolist()))


def _digest(part: ImageSplit, rows: np.ndarray) -> str:
    found = hashlib.sha256()
    for start in range(0, len(rows), _CHUNK):
        found.update(part.images[rows[start : start + _CHUNK]].tobytes())
    return found.hexdigest()


def _plain(value: Any) -> Any:
    """Return a config's lists and dicts as plain ones, for a checkpoint; texts stay as they are."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
