"""What a reader returns: images with the class of each, and the names of the classes."""

from dataclasses import dataclass

import numpy as np

MOST_BYTES = 2**30  # of the images of one file or folder, which are kept in memory: 350,000 of 32 x 32 in colour


@dataclass(frozen=True)
class Classes:
    """The names of K classes and, if the files hold coarse classes too, the coarse class of each."""

    names: tuple[str, ...]
    coarse_names: tuple[str, ...] = ()
    coarse: tuple[int, ...] | None = None  # (K,), a number below len(coarse_names) for each class

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class ImageSplit:
    """Images (n, C, H, W) uint8 and the class of each, (n,) int64 in 0..K-1."""

    images: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class ImageSet:
    """The images of a set; `test` is None if its files do not hold a test split."""

    classes: Classes
    train: ImageSplit
    test: ImageSplit | None
