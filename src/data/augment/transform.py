"""What all transforms of images have in common."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

MOST_PIXELS = 4096  # along an axis: larger settings are slips, and overflow


class Transform(BaseModel):
    """A random change of images whose labels stay, or for which `allow` lists the heads that may become wrong.

    The fields are its settings; `share` is the fraction of the samples that it changes. A subclass says which `inputs`
    it suits, whether it needs `levels`: channels that hold levels in dB, and which words, regular expressions, in the
    name or unit of a parameter say that it changes that one: `confounds`. `draws` is the number of uniform numbers K
    that a sample needs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    inputs: ClassVar[tuple[str, ...]] = ("spectral", "image")
    levels: ClassVar[bool] = False
    confounds: ClassVar[tuple[str, ...]] = ()

    share: float = Field(1.0, gt=0, le=1)
    allow: tuple[str, ...] = ()

    def can_empty(self, shape: tuple[int, int, int]) -> bool:
        """Return whether a single shift or mask of these settings may leave nothing of an image of shape (C, H, W)."""
        return False

    def draws(self, shape: tuple[int, int, int]) -> int:
        """Return how many uniform numbers an image of shape (C, H, W) needs."""
        raise NotImplementedError

    def change(self, images: Tensor, uniform: Tensor, scale: Tensor | None) -> Tensor:
        """Return changed images (B, C, H, W), given uniform numbers (B, K) and the levels of 0 and 1 in dB (B, 2)."""
        raise NotImplementedError
