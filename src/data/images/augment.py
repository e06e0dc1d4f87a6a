"""Random changes of training images that leave their classes as they are."""

import torch
from torch import Tensor
from torch.nn import functional


def shift_and_flip(images: Tensor, shift: int, flip: bool) -> Tensor:
    """Move each image (B, C, H, W) by up to `shift` pixels along both axes, and mirror half of them left to right.

    Pixels that enter the image are 0. Draws from torch's generator of the images' device.
    """
    batch, channels, height, width = images.shape
    device = images.device
    if flip:
        is_mirrored = torch.rand(batch, 1, 1, 1, device=device) < 0.5
        images = torch.where(is_mirrored, images.flip(3), images)
    if not shift:
        return images
    padded = functional.pad(images, [shift] * 4)
    starts = torch.randint(0, 2 * shift + 1, (2, batch), device=device)
    rows = starts[0, :, None] + torch.arange(height, device=device)  # (B, H)
    columns = starts[1, :, None] + torch.arange(width, device=device)  # (B, W)
    sample, channel = torch.arange(batch, device=device), torch.arange(channels, device=device)
    return padded[
        sample[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :]
    ]
