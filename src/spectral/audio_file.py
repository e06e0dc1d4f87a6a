"""Sound files to the clip a front end expects, and back: every change made on the way is told."""

import logging
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from src.utils.errors import UserError

log = logging.getLogger(__name__)

SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif", ".mp3")
_CHANNELS = {"left": 0, "right": 1}
_SILENCE = 1e-4  # -80 dB: the floor of the default image, so below it there is nothing to see


def read_clip(path: Path, sample_rate: int, num_samples: int, channel: str | None = None) -> np.ndarray:
    """Return (num_samples,) float32 mono at `sample_rate`; resampled, padded or trimmed with a warning.

    UserError: not a sound file, several channels and no `channel` (mix, left, right), not finite,
    or silent.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a sound file, a folder of them, or a VIMH directory")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: 0 bytes; record or export it again")
    try:
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise UserError(f"{path}: not a sound file that libsndfile reads ({error}); convert it to WAV") from error
    if not len(sound):
        raise UserError(f"{path}: a header and no samples; record or export it again")
    if not np.isfinite(sound).all():
        at = int(np.argmin(np.isfinite(sound).all(axis=1)))
        raise UserError(f"{path}: sample {at} is not finite; repair or export the file again")
    mono = _to_mono(path, sound, channel)
    if rate != sample_rate:
        log.warning("%s: resampled from %d to %d Hz, as the model was trained", path.name, rate, sample_rate)
        shared = gcd(rate, sample_rate)
        mono = resample_poly(mono, sample_rate // shared, rate // shared).astype(np.float32)
    if len(mono) != num_samples:
        lengths = (len(mono) / sample_rate, num_samples / sample_rate)
        if len(mono) > num_samples:
            log.warning("%s: %.3f s long, only the first %.3f s are used", path.name, *lengths)
        else:
            log.warning("%s: %.3f s long, padded with silence to %.3f s", path.name, *lengths)
        mono = np.pad(mono[:num_samples], (0, max(0, num_samples - len(mono))))
    if np.abs(mono).max() < _SILENCE:
        raise UserError(f"{path}: silent (below -80 dB) where the model listens; raise the level or trim the start")
    return mono


def _to_mono(path: Path, sound: np.ndarray, channel: str | None) -> np.ndarray:
    count = sound.shape[1]
    if count == 1:
        return sound[:, 0]
    if channel == "mix":
        return sound.mean(axis=1)
    if channel in _CHANNELS:
        return sound[:, _CHANNELS[channel]]
    raise UserError(f"{path}: {count} channels, the model hears one; add channel=mix, left or right")


def write_clip(path: Path, audio: np.ndarray, sample_rate: int) -> None:
    """Write (T,) float32 as 16-bit WAV, scaled down with a warning where it would clip."""
    peak = float(np.abs(audio).max())
    if peak > 1.0:
        log.warning("%s: peaks at %.2f, scaled down to full scale", path.name, peak)
        audio = audio / peak
    soundfile.write(path, audio, sample_rate, subtype="PCM_16")
