"""The transforms of a config, and how they change a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, cast

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from src.data.augment.geometric import Elastic, Flip, GridDistortion, Rotate, Shift
from src.data.augment.level_label import LevelLabel
from src.data.augment.masks import Erase, SpecAugment
from src.data.augment.mix import CutMix, Mix, MixUp, TokenMix
from src.data.augment.picture import ColourJitter, GaussianNoise, RandAugment
from src.data.augment.random import other_samples, sample_keys, uniforms
from src.data.augment.sound import FrequencyShift, Gain, NoiseAtSNR, Reverberation, Tilt, TimeShift, raised
from src.data.augment.transform import Transform
from src.data.dataset import Batch, map_tensors
from src.utils.errors import UserError, did_you_mean, shown
from src.utils.invalid import describe

TRANSFORMS: dict[str, type[Transform]] = {
    "spec_augment": SpecAugment,
    "time_shift": TimeShift,
    "frequency_shift": FrequencyShift,
    "gain": Gain,
    "tilt": Tilt,
    "noise": NoiseAtSNR,
    "reverberation": Reverberation,
    "shift": Shift,
    "flip": Flip,
    "rotate": Rotate,
    "elastic": Elastic,
    "grid_distortion": GridDistortion,
    "colour_jitter": ColourJitter,
    "gaussian_noise": GaussianNoise,
    "erase": Erase,
    "rand_augment": RandAugment,
    "mixup": MixUp,
    "cutmix": CutMix,
    "token_mix": TokenMix,
}


@dataclass(frozen=True)
class Augmentation:
    """Transforms by name, of images with values from 0 to 1, in their order; mixing with another sample comes last.

    A gain moves the labels of `level`. `checked` says that labels stay true, see src.models.augmentable.
    """

    transforms: Mapping[str, Transform]
    seed: int
    level: LevelLabel | None = None
    checked: bool = False

    @property
    def mix(self) -> Mix | None:
        """The transform that mixes two samples, if there is one."""
        return next((one for one in self.transforms.values() if isinstance(one, Mix)), None)

    def partners(self, rows: np.ndarray, epoch: int, count: int) -> np.ndarray:
        """Return the rows (B,) of a split of `count` samples with which samples are mixed in an epoch."""
        return other_samples(torch.from_numpy(np.asarray(rows, np.int64)), count, self.seed, epoch).numpy()

    def without(self, batch: Batch) -> Batch:
        """Return the samples of a batch as they are, without partners and numbers."""
        own = len(batch["index"]) // (2 if self.mix else 1)
        return _part(cast(Batch, {name: values for name, values in batch.items() if name != "index"}), slice(own))

    def __call__(self, batch: Batch, epoch: int) -> Batch:
        """Return a changed batch without its `index` (B,), the samples' numbers in their split.

        If samples are mixed, the second half of a batch holds the partners of the first; the result is the first half,
        with the partners' targets as `other_target` (B, P) and the weights of their own as `share` (B,).
        """
        batch = cast(Batch, dict(batch))
        index, (channels, height, width) = batch.pop("index"), batch["image"].shape[1:]
        for name, transform in self.transforms.items():
            if isinstance(transform, Mix):
                index = index[: len(index) // 2]
            keys = sample_keys(index, self.seed, epoch, name)
            drawn = uniforms(keys, 1 + transform.draws((channels, height, width)))
            is_changed, drawn = drawn[:, 0] < transform.share, drawn[:, 1:]
            if isinstance(transform, Mix):
                weights = transform.weights(drawn, (channels, height, width))
                batch = _mixed(batch, torch.where(is_changed[:, None, None, None], weights, 1.0))
                continue
            if isinstance(transform, Gain) and self.level is not None:
                room = self.level.room(batch["target"])
                target, decibels = self.level.moved(batch["target"], transform.amount(drawn[:, 0], room))
                batch["target"] = torch.where(is_changed[:, None], target, batch["target"])
                images = raised(batch["image"], decibels[:, None, None, None], batch.get("scale"))
            else:
                images = transform.change(batch["image"], drawn, batch.get("scale")).clamp(0.0, 1.0)
            batch["image"] = torch.where(is_changed[:, None, None, None], images, batch["image"])
        return batch


def _mixed(batch: Batch, weights: Tensor) -> Batch:
    """Mix the two halves of a batch by the first one's share of each pixel (B, 1, H, W)."""
    own = len(weights)
    first, second = _part(batch, slice(own)), _part(batch, slice(own, None))
    mixed: Batch = {**first, "image": torch.lerp(second["image"], first["image"], weights)}
    share = weights.mean(dim=(1, 2, 3))
    if "scale" in first:
        mixed["scale"] = torch.lerp(second["scale"], first["scale"], share[:, None])
    if "target" in first:
        mixed["other_target"], mixed["share"] = second["target"], share
    return mixed


def _part(batch: Batch, part: slice) -> Batch:
    return map_tensors(itemgetter(part), batch)


def parse_augmentation(config: Mapping[str, Any] | None, seed: int) -> Augmentation | None:
    """Return the transforms of a config {name: {setting: value}}, None without any; a UserError names the fault."""
    transforms = _parse(config or {}, "data.augment")
    mixing = {name: transform for name, transform in transforms.items() if isinstance(transform, Mix)}
    if len(mixing) > 1:
        raise UserError(f"data.augment: {' and '.join(mixing)} given, but images are mixed once; give one of them")
    single = {name: transform for name, transform in transforms.items() if name not in mixing}
    return Augmentation(single | mixing, seed) if transforms else None


def _operations(config: Any, where: str) -> tuple[Transform, ...]:
    """Return the transforms of RandAugment; raise UserError for one that it cannot apply."""
    found = _parse(config, where)
    for name, transform in found.items():
        if "image" not in transform.inputs or isinstance(transform, Mix | RandAugment):
            raise UserError(f"{where}.{name}: rand_augment draws from changes of one picture; leave it out")
        for key in transform.model_fields_set & {"share", "allow"}:
            raise UserError(f"{where}.{name}.{key}: rand_augment has one for all operations; leave it out")
    return tuple(found.values())


def _parse(config: Mapping[str, Any], where: str) -> dict[str, Transform]:
    if not isinstance(config, Mapping):
        raise UserError(f"{where}: {shown(config)} given; give names and settings, as in {{shift: {{pixels: 2}}}}")
    found: dict[str, Transform] = {}
    for name, settings in config.items():
        if name not in TRANSFORMS:
            raise UserError(f"{where}.{name}: no such transform.{did_you_mean(str(name), TRANSFORMS)}")
        if settings is None:  # as if it were not given: how an override removes one
            continue
        if not isinstance(settings, Mapping):
            raise UserError(f"{where}.{name}: {shown(settings)} given; give its settings, or {{}} for the defaults")
        plain = dict(settings)
        if name == "rand_augment":
            plain["operations"] = _operations(plain.get("operations"), f"{where}.{name}.operations")
        fields = TRANSFORMS[name].model_fields
        for key in plain:
            if key not in fields:
                raise UserError(f"{where}.{name}.{key}: no such setting.{did_you_mean(str(key), fields)}")
        try:
            found[name] = TRANSFORMS[name].model_validate(plain)
        except ValidationError as error:
            raise UserError(describe(error, f"{where}.{name}")) from None
    return found
