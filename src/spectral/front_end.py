"""Audio to spectral images in [0, 1]: one implementation for bytes, floats and gradients."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from src.spectral.config import SpectralConfig
from src.spectral.mel import mel_matrix

_WINDOWS: dict[str, Callable[[int], Tensor]] = {
    "rectangular": torch.ones,
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
}
_TINY_POWER = 1e-20  # -200 dB, so that digital silence has a finite logarithm


class FrontEnd(nn.Module):
    """Spectral images of clips of one length.

    Frames are not centre-padded, DC is dropped (row 0 is bin 1, the lowest frequency), and magnitudes are scaled so
    that a full-scale sine has 0 dB at its bin. With `hop_length: auto` the frames cover the whole clip. It is
    differentiable and runs on any device.
    """

    window: Tensor
    ramp: Tensor  # the window times the sample's number
    mel: Tensor

    def __init__(self, config: SpectralConfig, sample_rate: int, num_samples: int):
        super().__init__()
        self.config = config
        self.sample_rate = sample_rate
        self.num_samples = num_samples
        self.hop_length = config.hop_samples(config.n_window, num_samples)
        self.hop_lengths = {
            name: config.hop_samples(int(name.removeprefix("stft_")), num_samples, f"the N of channel {name}")
            for name in config.channels
            if name.startswith("stft_")
        }
        window = _WINDOWS[config.window_type](config.n_window)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("ramp", torch.arange(config.n_window) * window, persistent=False)
        self.register_buffer("mel", torch.empty(0), persistent=False)
        if config.type == "mel":
            mel = mel_matrix(config.height, config.n_fft, sample_rate, config.freq_min, config.freq_max_ratio)
            self.mel = torch.from_numpy(mel).to(torch.float32)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of the images."""
        return len(self.config.channels), self.config.height, self.config.width

    @property
    def visible_seconds(self) -> float:
        """The duration from the start of the clip that the frames cover."""
        return ((self.config.width - 1) * self.hop_length + self.config.n_window) / self.sample_rate

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Map audio (B, T) float32 to images (B, C, H, W) in [0, 1] and their dB range (B, 2).

        The range contains the levels of 0 and 1 in the magnitude channel: floor and ceiling with global scaling, the
        image's minimum and maximum with per-sample scaling.
        """
        config = self.config
        if audio.ndim != 2 or audio.shape[1] != self.num_samples:
            raise ValueError(f"audio: shape {tuple(audio.shape)} given, (B, {self.num_samples}) expected")
        if config.pre_emphasis:
            audio = torch.cat([audio[:, :1], audio[:, 1:] - config.pre_emphasis * audio[:, :-1]], dim=1)
        frames = self._frames(audio, config.n_window, self.hop_length)
        spectrum = self._spectrum(frames * self.window, config.n_fft)
        power = _power(spectrum)
        if config.type == "mel":
            power = self.mel @ power
        decibels = _decibels(power)
        if config.image_scaling == "per_sample":
            low, high = decibels.amin(dim=(1, 2)), decibels.amax(dim=(1, 2))
        else:
            low = decibels.new_full((len(audio),), config.floor_db)
            high = decibels.new_full((len(audio),), config.ceil_db)
        span = (high - low).clamp_min(1e-6)
        images = [((decibels - low[:, None, None]) / span[:, None, None]).clamp(0, 1)]
        images += [self._channel(name, audio, frames, spectrum, power) for name in config.channels[1:]]
        return torch.stack(images, dim=1), torch.stack([low, high], dim=1)

    def to_bytes(self, images: Tensor) -> Tensor:
        """Return images in [0, 1] as the uint8 levels that a dataset stores."""
        return (images * 255.0).round().to(torch.uint8)

    def _frames(self, audio: Tensor, n_window: int, hop_length: int) -> Tensor:
        return audio.unfold(1, n_window, hop_length)[:, : self.config.width]

    def _spectrum(self, frames: Tensor, n_fft: int) -> Tensor:
        """Return (B, H or all bins from 1, W) complex spectra, full-scale sine = 1."""
        rows = self.config.height if self.config.type == "stft" else n_fft // 2
        spectrum = torch.fft.rfft(frames, n=n_fft)[..., 1 : rows + 1]
        return spectrum.transpose(1, 2) * _amplitude_scale(n_fft, self.window)[1 : rows + 1]

    def _scale(self, power: Tensor) -> Tensor:
        config = self.config
        return ((_decibels(power) - config.floor_db) / (config.ceil_db - config.floor_db)).clamp(0, 1)

    def _channel(self, name: str, audio: Tensor, frames: Tensor, spectrum: Tensor, power: Tensor) -> Tensor:
        """Return an additional channel, (B, H, W) in [0, 1], on its own scale."""
        shape = power.shape
        if name == "temporal_envelope":  # mean square of each frame; a full-scale sine has 0 dB
            return self._scale(2.0 * frames.square().mean(dim=-1))[:, None, :].expand(shape)
        if name == "spectral_envelope":  # mean energy of each row over the clip
            return self._scale(power.mean(dim=2))[:, :, None].expand(shape)
        if name == "modulation":  # spectrum of each row's magnitude over time; column 0 is its mean
            magnitude = power.clamp_min(_TINY_POWER).sqrt()
            modulation = torch.fft.rfft(magnitude, n=2 * shape[2], dim=2)[..., : shape[2]]
            return self._scale(_power(modulation) / shape[2] ** 2)
        if name == "instantaneous_frequency":
            return self._onto_rows(self._instantaneous_frequency(audio, spectrum), power)
        if name == "group_delay":
            return self._onto_rows(self._group_delay(frames, spectrum), power)
        return self._resolution(audio, name)

    def _instantaneous_frequency(self, audio: Tensor, spectrum: Tensor) -> Tensor:
        """Map the phase advance over one sample, -1 .. 1 bins from the bin's centre, to [0, 1]."""
        config = self.config
        shifted = torch.cat([audio[:, 1:], audio[:, -1:]], dim=1)
        later = self._spectrum(self._frames(shifted, config.n_window, self.hop_length) * self.window, config.n_fft)
        bins = torch.arange(1, spectrum.shape[1] + 1, device=audio.device, dtype=audio.dtype)[:, None]
        step = 2.0 * math.pi / config.n_fft
        product = later * spectrum.conj()
        power = _power(spectrum).detach()  # without this factor, the angle's gradient is 0 / 0 near silence
        turn = torch.where(power > _TINY_POWER, product / power.clamp_min(_TINY_POWER), torch.ones_like(product))
        advance = torch.angle(turn) - step * bins
        wrapped = torch.remainder(advance + math.pi, 2.0 * math.pi) - math.pi
        return (0.5 + 0.5 * wrapped / step).clamp(0, 1)

    def _group_delay(self, frames: Tensor, spectrum: Tensor) -> Tensor:
        """Map the centre of the energy in each frame, 0 .. n_window samples, to [0, 1] (Auger & Flandrin 1995)."""
        weighted = self._spectrum(frames * self.ramp, self.config.n_fft)
        delay = (weighted * spectrum.conj()).real / _power(spectrum).clamp_min(_TINY_POWER)
        return (delay / self.config.n_window).clamp(0, 1)

    def _onto_rows(self, values: Tensor, power: Tensor) -> Tensor:
        """Map per-bin values to mel rows if the image is mel, and set values below the floor to 0.5."""
        if self.config.type == "mel":
            values = self.mel @ values
        return torch.where(_decibels(power) > self.config.floor_db, values, 0.5)

    def _resolution(self, audio: Tensor, name: str) -> Tensor:
        """Return the magnitude image of another window length, at the bins nearest to the rows' frequencies."""
        config = self.config
        n_fft = int(name.removeprefix("stft_"))
        window = _WINDOWS[config.window_type](n_fft).to(audio.device)
        frames = self._frames(audio, n_fft, self.hop_lengths[name]) * window
        power = _power(torch.fft.rfft(frames).transpose(1, 2) * _amplitude_scale(n_fft, window))
        if config.type == "mel":
            rows = self.mel.argmax(dim=1) + 1
        else:
            rows = torch.arange(1, config.height + 1, device=audio.device)
        nearest = (rows * n_fft / config.n_fft).round().long().clamp(1, n_fft // 2)
        return self._scale(power[:, nearest])


def _amplitude_scale(n_fft: int, window: Tensor) -> Tensor:
    """Return (n_fft // 2 + 1, 1) factors with which a full-scale sine has magnitude 1 at its bin.

    A real sine's amplitude is split between a positive and a negative frequency, except at DC and at Nyquist.
    """
    scale = (2.0 / window.sum()).expand(n_fft // 2 + 1).clone()
    scale[0] /= 2.0
    if n_fft % 2 == 0:
        scale[-1] /= 2.0
    return scale[:, None]


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _decibels(power: Tensor) -> Tensor:
    return 10.0 * torch.log10(power.clamp_min(_TINY_POWER))
