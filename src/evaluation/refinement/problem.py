"""What a refinement is given: images of sounds, a source that renders, and an answer with its error."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from src.data.source import Source
from src.spectral.decibels import to_decibels

GOOD_LEVELS = 0.5  # an image that differs by less fits as well as bytes can tell
TOO_NOISY = 0.3  # of the magnitudes' own RMS, about -10 dB: what differs by more is not that sound
_GOOD_SHARE = 0.15  # of these magnitudes: 16 dB of noise; a residual above it may be another answer's
_LEAST_SPAN = 1.0  # dB of an image; silence on its own scale has none
_MOST_VALUES = 2**24  # pixels of rendered images in memory at once: 64 MB

Residual = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (m, P), the sounds (m,) -> (m, cells)


@dataclass(frozen=True)
class Problem:
    """n sounds and their P parameters, which are on their scales in [0, 1]."""

    source: Source
    images: np.ndarray  # (n, C, H, W) in [0, 1]
    scale: np.ndarray  # (n, 2): the dB values of 0 and 1
    start: np.ndarray  # (n, P)
    sd: np.ndarray  # (n, P): standard deviations of the start's errors
    steps: np.ndarray  # (P,): of finite differences; 0: the parameter keeps its value
    kind: Literal["db", "magnitude"]  # of the residuals

    def __len__(self) -> int:
        return len(self.images)

    @property
    def free(self) -> np.ndarray:
        """The columns of the parameters that are sought."""
        return np.flatnonzero(self.steps)

    def part(self, rows: slice) -> "Problem":
        """Return the problem of some of the sounds."""
        own = {name: getattr(self, name)[rows] for name in ("images", "scale", "start", "sd")}
        return replace(self, **own)

    def residual(self, unit: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the residuals of the problem's kind, see `levels` and `magnitudes`."""
        return self.levels(unit, rows) if self.kind == "db" else self.magnitudes(unit, rows)

    def levels(self, unit: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return images of parameters (m, P) minus those of the sounds `rows` (m,): (m, cells) float32.

        The unit is a level, 1/255 of a sound's dB range; other channels than the magnitude have levels of their own.
        """
        found = np.empty((len(rows), self.images[0].size), np.float32)
        for part, images, scale in self._rendered(unit):
            low, high = self.scale[rows[part], 0, None, None], self.scale[rows[part], 1, None, None]
            images[:, 0] = (to_decibels(images[:, 0], scale) - low) / np.maximum(high - low, _LEAST_SPAN)
            found[part] = 255.0 * (images - self.images[rows[part]]).reshape(len(images), -1)
        return found

    def magnitudes(self, unit: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return magnitudes of parameters (m, P) minus those of the sounds `rows` (m,): (m, H * W) float32.

        A full-scale sine is 1. Noise adds to magnitudes about evenly, but in dB most where the sound is weak.
        """
        found = np.empty((len(rows), self.images[0, 0].size), np.float32)
        for part, images, scale in self._rendered(unit):
            rendered = 10.0 ** (to_decibels(images[:, 0], scale) / 20.0)
            found[part] = rendered.reshape(len(images), -1) - self.given_magnitudes(rows[part])
        return found

    def given_magnitudes(self, rows: np.ndarray) -> np.ndarray:
        """Return the magnitudes (m, H * W) of the sounds `rows` (m,)."""
        return (10.0 ** (to_decibels(self.images[rows, 0], self.scale[rows]) / 20.0)).reshape(len(rows), -1)

    def jacobian(self, unit: np.ndarray, rows: np.ndarray, residual: np.ndarray, function: Residual) -> np.ndarray:
        """Return the derivatives (m, P, cells) of a residual function, by forward differences.

        `residual` is the function's value; at the upper end of a range the difference is a backward one.
        """
        found = np.zeros((len(rows), unit.shape[1], residual.shape[1]), np.float32)
        free, at = self.free, np.arange(len(self.free))
        steps = np.where(unit + self.steps > 1.0, -self.steps, self.steps)[:, free]
        moved = np.repeat(unit[:, None], len(free), axis=1)
        moved[:, at, free] += steps
        changed = function(moved.reshape(-1, unit.shape[1]), np.repeat(rows, len(free)))
        found[:, free] = (changed.reshape(len(rows), len(free), -1) - residual[:, None]) / steps[:, :, None]
        return found

    def fits(self, cost: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return whether an RMS residual (m,) of the sounds `rows` (m,) is as small as one can expect."""
        if self.kind == "db":
            return cost <= GOOD_LEVELS
        return cost <= _GOOD_SHARE * rms(self.given_magnitudes(rows))

    def _rendered(self, unit: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        size = max(1, _MOST_VALUES // self.images[0].size)
        for start in range(0, len(unit), size):
            part = slice(start, start + size)
            space = self.source.synth.space
            yield part, *self.source.float_images(space.on_grid(space.denormalize(unit[part])))


def rms(residual: np.ndarray) -> np.ndarray:
    """Return the root mean square of residuals (m, cells) -> (m,) float64."""
    return np.sqrt(np.square(residual, dtype=np.float64).mean(axis=1))
