"""Power spectrograms with a fast gradient, for losses: centred Hann frames, as of torch.stft.

An image's frames are not centred, see src.spectral.front_end.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_LARGEST_N_FFT = 2**20  # 22 s at 48 kHz


class _FramedPower(torch.autograd.Function):
    """Power of windowed frames, with a hand-written gradient: one inverse FFT and one overlap-add.

    Autograd through framing, `torch.stft` and the complex magnitude takes several times as long.
    """

    @staticmethod
    def forward(ctx: Any, audio: Tensor, window: Tensor, n_fft: int, hop_length: int) -> Tensor:
        width = len(window)
        frames = audio.unfold(1, width, hop_length)
        padded = audio.new_zeros(*frames.shape[:2], n_fft) if width < n_fft else audio.new_empty(frames.shape)
        torch.mul(frames, window, out=padded[..., :width])
        spectrum = torch.fft.rfft(padded)
        ctx.save_for_backward(spectrum, window)
        ctx.sizes = audio.shape, n_fft, hop_length
        return spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        spectrum, window = ctx.saved_tensors
        shape, n_fft, hop_length = ctx.sizes
        weighted = spectrum * grad
        weighted[..., 0] *= 2  # DC and Nyquist have no mirror image that irfft would add
        weighted[..., -1] *= 2
        frames = torch.fft.irfft(weighted, n=n_fft, norm="forward")
        return _overlap_add(frames, window, hop_length, shape[1]), None, None, None


def _overlap_add(frames: Tensor, window: Tensor, hop_length: int, length: int) -> Tensor:
    """Return (N, length), the overlap-add of windowed frames (N, F, at least len(window)), one every hop."""
    rows, count = frames.shape[:2]
    starts = range(0, len(window), hop_length)
    hops = max(count - 1 + len(starts), -(-length // hop_length))
    total = frames.new_zeros(rows, hops, hop_length)
    for at, start in enumerate(starts):  # adds hop `at` of every frame
        piece = window[start : start + hop_length]
        total[:, at : at + count, : len(piece)].addcmul_(frames[..., start : start + len(piece)], piece)
    return total.flatten(1)[:, :length]


class PowerSpectrogram(nn.Module):
    """Audio (N, T) to power spectra (N, T // hop_length + 1, n_fft // 2 + 1), unscaled, float32 or float64.

    Frames are those of `torch.stft`: a periodic Hann window in the middle of n_fft samples, centred on multiples of the
    hop, with mirrored ends; a clip that is too short to be mirrored is first extended with zeros.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int | None = None, window_length: int | None = None):
        super().__init__()
        self.n_fft = n_fft
        self.hop_length = n_fft // 4 if hop_length is None else hop_length
        window_length = n_fft if window_length is None else window_length
        if not 2 <= n_fft <= _LARGEST_N_FFT or n_fft % 2:
            raise ValueError(f"n_fft: {n_fft} given; give an even number from 2 to {_LARGEST_N_FFT}")
        if self.hop_length < 1:
            raise ValueError(f"hop_length: {self.hop_length} given (n_fft {n_fft}); it must be at least 1")
        if not 1 <= window_length <= n_fft:
            raise ValueError(f"window_length: {window_length} given; give 1 .. n_fft ({n_fft})")
        self.register_buffer("window", torch.hann_window(window_length), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Return the power of each frame and bin."""
        half = self.n_fft // 2
        if audio.shape[1] <= half:
            audio = nn.functional.pad(audio, (0, half + 1 - audio.shape[1]))
        left, right = audio[:, 1 : half + 1].flip(1), audio[:, -half - 1 : -1].flip(1)
        centred = torch.cat([left, audio, right], dim=1)
        margin = (self.n_fft - len(self.window)) // 2
        last = margin + (centred.shape[1] - self.n_fft) // self.hop_length * self.hop_length + len(self.window)
        return _FramedPower.apply(centred[:, margin:last], self.window.to(audio.dtype), self.n_fft, self.hop_length)
