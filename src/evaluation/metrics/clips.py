"""The check of the clips that every metric receives, and their resampling."""

from math import gcd

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import Tensor

from src.utils.errors import UserError

PEER_RATE = 44_100  # Hz, at which figures are published
LOWEST_RATE = 5_000  # Hz: below it, short windows leave mel filters without a bin
_LOUDEST = 1e6  # times full scale, so that powers of spectra fit in float32


def checked_pair(prediction: Tensor, target: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Return two batches of clips (B, T) as float32, the precision that all devices have.

    Raises UserError if their shapes differ, the sample rate is too low, or `checked` refuses one.
    """
    require_rate(sample_rate)
    if prediction.shape != target.shape:
        raise UserError(
            f"prediction, target: shapes {tuple(prediction.shape)} and {tuple(target.shape)} given; "
            "give clips of the same number and length"
        )
    return checked(prediction, "prediction"), checked(target, "target")


def checked(audio: Tensor, name: str) -> Tensor:
    """Return clips (B, T) as float32; raise UserError for other shapes and types, and for samples that are not finite.

    `name` is what the message calls the clips.
    """
    if audio.ndim != 2 or not audio.numel():
        raise UserError(f"{name}: shape {tuple(audio.shape)} given; give clips (B, T), at least one sample of one clip")
    if not audio.is_floating_point():
        raise UserError(f"{name}: {audio.dtype} given; give floats, full scale +-1")
    audio = audio.detach().float()
    plausible = (audio.abs() <= _LOUDEST).all(dim=1)
    if not plausible.all():
        row = int(plausible.int().argmin())
        raise UserError(
            f"{name}: clip {row} has samples that are not finite, or above {_LOUDEST:g} times full scale; "
            "repair it or leave it out"
        )
    return audio


def require_rate(sample_rate: int) -> None:
    """Raise UserError for a sample rate at which mel filters and the K weighting are not defined."""
    if sample_rate < LOWEST_RATE:
        raise UserError(
            f"sample_rate: {sample_rate} Hz given; audio metrics need at least {LOWEST_RATE} Hz, "
            f"resample to {PEER_RATE}"
        )


def samples(sample_rate: int, milliseconds: int) -> int:
    """Return a duration in samples, rounded down."""
    return sample_rate * milliseconds // 1000


def resample(audio: Tensor, sample_rate: int, new_rate: int | None) -> Tensor:
    """Return clips (B, T) at `sample_rate` as (B, ceil(T new / old)) float32 at `new_rate`; None changes nothing.

    It is scipy.signal.resample_poly (polyphase, Kaiser window of beta 5) on the CPU, the resampler that also reads
    sound files. The result is on the device of the clips.
    """
    if new_rate is None or new_rate == sample_rate:
        return checked(audio, "audio")
    common = gcd(new_rate, sample_rate)
    clips = checked(audio, "audio").cpu().numpy()
    resampled = resample_poly(clips, new_rate // common, sample_rate // common, axis=1)
    return torch.from_numpy(resampled.astype(np.float32)).to(audio.device)
