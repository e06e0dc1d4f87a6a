"""The schema of a `spectral` config: how the spectral image of a sound is computed."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from src.utils.errors import UserError

CHANNELS = (
    "magnitude",
    "temporal_envelope",
    "spectral_envelope",
    "instantaneous_frequency",
    "group_delay",
    "modulation",
)
MOST_SAMPLES = 2**24  # of a sound: 87 s at 192 kHz
MOST_PIXELS = 2**22  # of an image, in all channels
_MOST_BINS = 2**24  # of the frames of one image, in all channels, or of its mel filters: 128 MiB


class SpectralConfig(BaseModel):
    """Settings of the front end `src.spectral.front_end.FrontEnd`.

    `n_fft` can be a multiple of the height, `2.5 * height`, and `n_window` a multiple of n_fft, `0.5 * n_fft`: a change
    of the height then changes all three. The fields hold the resulting numbers.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["stft", "mel"] = "stft"
    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    n_fft: int = Field(ge=4, le=65536)
    n_window: int = Field(ge=2, le=65536)
    window_type: Literal["rectangular", "hann", "hamming", "blackman"] = "hann"
    hop_length: int | Literal["auto"] = "auto"
    pre_emphasis: float = Field(0.0, ge=0, lt=1)
    image_scaling: Literal["global", "per_sample"] = "global"
    floor_db: float = Field(-80.0, ge=-200)
    ceil_db: float = Field(0.0, le=60)
    channels: tuple[str, ...] = Field(("magnitude",), max_length=64)
    freq_min: float = Field(0.0, ge=0, description="mel only: lowest frequency, Hz")
    freq_max_ratio: float = Field(1.0, gt=0, le=1, description="mel only: highest frequency / (sample_rate / 2)")

    @model_validator(mode="before")
    @classmethod
    def _resolve_multiples(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            values = dict(values)
            for key, base in (("n_fft", "height"), ("n_window", "n_fft")):
                if isinstance(values.get(key), str) and isinstance(values.get(base), int):
                    values[key] = _multiply(key, values[key], base, values[base])
        return values

    @field_validator("channels")
    @classmethod
    def _check_channels(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        for channel in channels:
            size = channel.removeprefix("stft_")
            is_stft = channel.startswith("stft_") and size.isdecimal() and len(size) <= 5 and 4 <= int(size) <= 65536
            if channel not in CHANNELS and not is_stft:
                raise ValueError(
                    f"{channel!r} is not a channel; give {', '.join(CHANNELS)} or stft_N (another resolution)"
                )
        if channels[:1] != ("magnitude",) or len(set(channels)) != len(channels):
            raise ValueError("must begin with 'magnitude' and name no channel twice")
        return channels

    @model_validator(mode="after")
    def _check_sizes(self) -> "SpectralConfig":
        check_pixels(len(self.channels), self.height, self.width)
        if max(self.num_bins, self.n_fft * self.height) > _MOST_BINS:
            raise ValueError(
                f"n_fft {self.n_fft} at height {self.height}, width {self.width} and {len(self.channels)} channels "
                "needs too much memory; lower one of them, or the N of a channel stft_N"
            )
        if self.n_window > self.n_fft:
            raise ValueError(f"n_window {self.n_window} is above n_fft {self.n_fft}")
        if self.type == "stft" and self.height > self.n_fft // 2:
            raise ValueError(f"height {self.height} is above n_fft // 2 = {self.n_fft // 2}, the number of bins")
        if self.floor_db >= self.ceil_db:
            raise ValueError(f"floor_db {self.floor_db:g} must be below ceil_db {self.ceil_db:g}")
        if self.hop_length != "auto" and self.hop_length < 1:
            raise ValueError(f"hop_length {self.hop_length} must be 'auto' or at least 1")
        return self

    @property
    def num_bins(self) -> int:
        """The number of samples in the frames of one image, in all channels."""
        sizes = (self.n_fft if name in CHANNELS else int(name.removeprefix("stft_")) for name in self.channels)
        return self.width * sum(sizes)

    def hop_samples(self, n_window: int, num_samples: int, key: str = "spectral.n_window") -> int:
        """Return the hop in samples of frames of `n_window` in a clip; raise UserError if they do not fit."""
        if self.hop_length == "auto":
            hop = (num_samples - n_window) // max(1, self.width - 1)
            if num_samples < n_window or (hop < 1 and self.width > 1):
                raise UserError(
                    f"spectral: {self.width} frames of {n_window} samples do not fit into {num_samples}; "
                    f"lower spectral.width or {key}, or lengthen synth.duration (of recordings data.duration)"
                )
            return max(1, hop)
        needed = (self.width - 1) * self.hop_length + n_window
        if needed > num_samples:
            most = max(0, num_samples - n_window) // max(1, self.width - 1)
            raise UserError(
                f"spectral.hop_length: {self.hop_length} needs {needed} samples for {self.width} frames, but the "
                f"clip has {num_samples}; use 'auto' or at most {most}"
            )
        return self.hop_length


def check_pixels(channels: int, height: int, width: int) -> None:
    """Raise ValueError if an image is larger than the largest that can be generated."""
    if channels * height * width > MOST_PIXELS:
        raise ValueError(
            f"an image of {height} x {width} pixels and {channels} channels: height * width * channels is at most "
            f"{MOST_PIXELS}"
        )


def _multiply(key: str, given: str, base: str, value: int) -> int:
    """Return the size of a text such as `2.5 * height`, an even one for n_fft; raise ValueError for another text."""
    found = re.fullmatch(rf"(?:([0-9]{{1,4}}(?:[./][0-9]{{1,4}})?) *\* *)?{base}|([0-9]{{1,9}})", given.strip())
    if not found:
        raise ValueError(f"{key} {given[:40]!r} is not a number or a multiple of {base}, as in 2.5 * {base}")
    if found[2]:
        return int(found[2])
    try:
        size = Fraction(found[1] or 1) * value
    except ZeroDivisionError as error:
        raise ValueError(f"{key} {given!r} divides by zero") from error
    return 2 * round(size / 2) if key == "n_fft" else round(size)
