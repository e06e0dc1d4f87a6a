"""Change spectral images as a change of the sound would: pixels are levels in dB between those of 0 and 1."""

import math

import torch
from pydantic import Field, model_validator
from torch import Tensor

from src.data.augment.geometric import moved
from src.data.augment.random import between, normals, whole_between
from src.data.augment.transform import MOST_PIXELS, Transform

_LEAST_POWER = 1e-30


def span_db(scale: Tensor | None) -> Tensor:
    """Return how many dB lie between 0 and 1, (B, 1, 1, 1), given the levels of both (B, 2)."""
    if scale is None:
        raise ValueError("spectral images come with scale (B, 2) in dB")
    return (scale[:, 1] - scale[:, 0])[:, None, None, None]


def raised(images: Tensor, decibels: Tensor, scale: Tensor | None) -> Tensor:
    """Raise images by decibels (B or 1, 1, H or 1, W or 1); pixels at 0, below which nothing is known, stay."""
    return torch.where(images > 0, (images + decibels / span_db(scale)).clamp(0.0, 1.0), 0.0)


def to_power(images: Tensor, scale: Tensor | None) -> Tensor:
    """Return the power of each pixel; that of level 1 is 1, and a pixel at 0 has none."""
    power = torch.exp((images - 1.0) * span_db(scale) * (math.log(10.0) / 10.0))
    return torch.where(images > 0, power, 0.0)


def from_power(power: Tensor, scale: Tensor | None) -> Tensor:
    """Return images of a power, the inverse of `to_power`."""
    decibels = 10.0 * power.clamp_min(_LEAST_POWER).log10()
    return (1.0 + decibels / span_db(scale)).clamp(0.0, 1.0)


class TimeShift(Transform):
    """Move sounds by up to `frames` earlier or later; frames that enter are silent."""

    inputs = ("spectral",)
    confounds = ("onset", "start", "delay", "attack")
    frames: int = Field(2, ge=1, le=MOST_PIXELS)

    def can_empty(self, shape: tuple[int, int, int]) -> bool:
        return self.frames >= shape[2]

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        later = whole_between(uniform[:, 0], -self.frames, self.frames)
        return moved(images, torch.zeros_like(later), later)


class FrequencyShift(Transform):
    """Move sounds by up to `rows` up or down."""

    inputs = ("spectral",)
    levels = True
    confounds = ("note(?!_velocity)", "pitch", "freq", "tune", "semitone", "cutoff", "hz")
    rows: int = Field(1, ge=1, le=MOST_PIXELS)

    def can_empty(self, shape: tuple[int, int, int]) -> bool:
        return self.rows >= shape[1]

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        up = whole_between(uniform[:, 0], -self.rows, self.rows)
        return moved(images, up, torch.zeros_like(up))


class Gain(Transform):
    """Make sounds softer by up to `decibels`: what a louder one would show above the lowest level is not known."""

    inputs = ("spectral",)
    levels = True
    confounds = ("velocity", "gain", "level", "volume", "amplitude", "loudness", "(?<![a-z])db")
    share: float = Field(0.5, gt=0, le=1)  # since labels fall too, some of the highest must stay
    decibels: float = Field(6.0, gt=0, le=60)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        return raised(images, self.amount(uniform[:, 0])[:, None, None, None], scale)

    def amount(self, uniform: Tensor, room: Tensor | None = None) -> Tensor:
        """Return the gain in dB (B,) for uniform numbers (B,); `room` (B,) is by how much a label may fall."""
        most = torch.full_like(uniform, self.decibels)
        return -uniform * (most if room is None else torch.minimum(most, room))


class Tilt(Transform):
    """Lower one end of the spectrum by up to `decibels`, linearly over the rows; the other end stays."""

    inputs = ("spectral",)
    levels = True
    confounds = ("cutoff", "filter", "(?<!semi)tone", "bright", "tilt", "slope", "treble", "bass")
    decibels: float = Field(3.0, gt=0, le=60)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        from_below = torch.linspace(0.0, 1.0, images.shape[2], device=images.device)[:, None]
        strength = between(uniform, -1.0, 1.0)[:, :, None, None]  # below 0 the upper end is lowered
        line = strength.clamp_max(0.0) * from_below - strength.clamp_min(0.0) * (1.0 - from_below)
        return raised(images, self.decibels * line, scale)


class NoiseAtSNR(Transform):
    """Add noise of the same power in every pixel, at a ratio of the sound's to the noise's power of low to high dB.

    The noise adds to the sound as complex numbers of random phase do, so each pixel's power is that of a sum.
    """

    inputs = ("spectral",)
    levels = True
    low: float = Field(20.0, ge=-20, le=120)
    high: float = Field(40.0, ge=-20, le=120)

    @model_validator(mode="after")
    def _check_order(self) -> "NoiseAtSNR":
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        return self

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1 + 2 * math.prod(shape)

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        power = to_power(images, scale)
        ratio = 10.0 ** (-between(uniform[:, 0], self.low, self.high) / 10.0)
        noise = (power.mean(dim=(1, 2, 3)) * ratio)[:, None, None, None]
        real, imaginary = ((noise / 2).sqrt() * part.view_as(images) for part in normals(uniform[:, 1:]).chunk(2, 1))
        return from_power((power.sqrt() + real).square() + imaginary.square(), scale)


class Reverberation(Transform):
    """Let sounds decay as in a room, approximately: each row's power is smeared over the following frames.

    The smeared part has `wet_db` relative to the sound and falls by 60 dB within up to `frames`. A real room adds
    phases and colour, which an image of levels cannot hold.
    """

    inputs = ("spectral",)
    levels = True
    confounds = ("decay", "release", "sustain", "reverb", "room")
    frames: float = Field(8.0, gt=0, le=MOST_PIXELS)
    wet_db: float = Field(-10.0, ge=-60, le=20)

    def draws(self, shape: tuple[int, int, int]) -> int:
        return 1

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        width = images.shape[3]
        decay = 1e-6 ** (1.0 / (self.frames * (1.0 - uniform[:, 0])))  # of a frame's power; 1 - u is above 0
        frames = torch.arange(width, device=images.device)
        apart = frames[None, :] - frames[:, None]  # from the frame of a row to that of a column
        smear = torch.where(apart > 0, decay[:, None, None] ** apart.clamp_min(1), 0.0)
        smear = 10.0 ** (self.wet_db / 10.0) * smear + torch.eye(width, device=images.device)
        return from_power(to_power(images, scale) @ smear[:, None], scale)
