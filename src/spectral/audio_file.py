"""Read sound files as clips for a front end, and write clips; every change to a sound is logged."""

import io
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.signal import resample_poly

from src.spectral.config import MOST_SAMPLES
from src.utils.errors import UserError
from src.utils.files import path_text, require_content, write_atomic

log = logging.getLogger(__name__)

SUFFIXES = (  # of the files that are read from a folder; a single file may have any suffix
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc"),
    *(".caf", ".au", ".snd", ".iff", ".8svx", ".svx", ".16sv", ".voc", ".paf", ".pvf", ".sf", ".ircam", ".avr", ".htk"),
    *(".nist", ".sph", ".sds", ".sd2", ".xi", ".mpc", ".wve"),
)
RATES = range(1000, 768_001)  # Hz: other values in a header are wrong
_UNKNOWN = 2**62  # frames: libsndfile reports more if a header does not state the length
_BLOCK_VALUES = 2**18  # read at a time, of all channels: 1 MB
_MOST_FACTOR = 100_000  # of a resampling ratio: its error, 10 ppm, is below that of a sound card's clock
FILTER_ZEROS = 10  # on each side, of resample_poly's filter
_CHANNELS = {"left": 0, "right": 1}
SILENCE = 1e-4  # -80 dB: the floor of the default image, below which nothing is visible
_PCM = {np.dtype(np.uint8): (128, 128), np.dtype(np.int16): (0, 2**15), np.dtype(np.int32): (0, 2**31)}
_LOUDEST = 1e3  # times full scale: floats outside -1..1, such as 16-bit integers, would saturate every image


class _Stream(soundfile.SoundFile):
    """A sound that is read sequentially.

    soundfile seeks after each block if possible, which libsndfile cannot do in FLAC of unknown length and in DWVW.
    """

    def seekable(self) -> bool:
        return False


def read_clip(path: Path, sample_rate: int, num_samples: int, channel: str | None = None) -> np.ndarray:
    """Return (num_samples,) float32 mono at `sample_rate`; resampled, padded or trimmed with a warning.

    Only the needed part of a file is read. Raises UserError if it is not a sound file, has several channels without a
    `channel` (mix, left, right), or is not finite, far above full scale or silent.
    """
    with open_sound(path, channel) as sound:
        up, down = resampling_ratio(sound.samplerate, sample_rate)
        if min(num_samples * down // up, sound.frames) > MOST_SAMPLES:
            raise UserError(
                f"{path_text(path)}: its first {num_samples / sample_rate:g} s, which the model uses, have "
                f"more than {MOST_SAMPLES} samples at {sound.samplerate} Hz; resample it to {sample_rate} Hz"
            )
        mono = np.concatenate(list(mono_blocks(path, sound, channel, samples_before(num_samples, up, down))))
        rate, stated = sound.samplerate, sound.frames
    try:
        return fit_clip(mono, rate, sample_rate, num_samples, path_text(path.name), stated)
    except UserError as error:
        raise UserError(f"{path_text(path.parent)}/{error}") from error


@contextmanager
def open_sound(path: Path, channel: str | None) -> Iterator[soundfile.SoundFile]:
    """Open a sound file for reading in order; errors of libsndfile, also while it is read, become UserErrors.

    Raises UserError for what is no sound file, implausible headers, and several channels without a `channel`.
    """
    require_content(path, "give a sound file, a folder of them, or a VIMH directory")
    # given a name, libsndfile would guess by its suffix; only Sound Designer II needs it, for its resource fork
    by_name = path.suffix.lower() == ".sd2"
    with path.open("rb") as file:
        try:
            with _Stream(os.fsencode(path.absolute()) if by_name else file.fileno(), closefd=False) as sound:
                _check_header(path, sound, channel)
                yield sound
        except soundfile.SoundFileError as error:
            reason = getattr(error, "error_string", str(error)).rstrip(".")
            raise UserError(
                f"{path_text(path)}: not a sound file that libsndfile can read ({reason}); convert it to WAV"
            ) from error


def to_mono(audio: Any) -> np.ndarray:
    """Return a sound (T,) of any array library as float32, full scale +-1.

    Samples are floats in -1..1 or integers of 8 (unsigned), 16 or 32 bits, as WAV files hold them. Raises UserError
    for several channels, other types, and samples that are not finite or far above full scale.
    """
    if hasattr(audio, "detach"):  # a tensor, which may be on a device or part of a graph
        audio = audio.detach().cpu()
    samples = np.asarray(audio)
    if samples.dtype in _PCM:
        zero, full_scale = _PCM[samples.dtype]
        samples = (samples.astype(np.float64) - zero) / full_scale
    elif samples.dtype.kind != "f":
        raise UserError(f"audio: {samples.dtype} given; give floats in -1..1, or integers of 8, 16 or 32 bits")
    if samples.ndim != 1 or not len(samples):
        raise UserError(f"audio: shape {samples.shape} given; one channel is needed, (T,), such as audio.mean(axis=1)")
    _require_plausible(samples[:, None], "audio", "repair it", "give samples in -1..1")
    return samples.astype(np.float32)


def _require_plausible(samples: np.ndarray, name: str, repair: str, scale: str, first: int = 0) -> None:
    """Raise UserError for samples (T, C), from the number `first` on, that are not finite or far above full scale."""
    finite = np.isfinite(samples).all(axis=1)
    if not finite.all():
        raise UserError(f"{name}: sample {first + int(np.argmin(finite))} is not finite; {repair}")
    peak = np.abs(samples).max()
    if peak > _LOUDEST:
        raise UserError(f"{name}: peaks at {peak:.3g} times full scale; {scale}")


def fit_clip(
    mono: np.ndarray, rate: int, sample_rate: int, num_samples: int, name: str = "sound", stated: int | None = None
) -> np.ndarray:
    """Return (num_samples,) float32 at `sample_rate` for a sound (T,) float32 at `rate`; warn about each change.

    `stated` is the number of samples of the whole sound if `mono` is only its beginning. Raises UserError for silence.
    """
    stated = len(mono) if stated is None else stated
    if rate != sample_rate:
        log.warning("%s: resampled from %d to %d Hz, the sample rate of the model", name, rate, sample_rate)
        mono = resample_poly(mono, *resampling_ratio(rate, sample_rate)).astype(np.float32)
    if len(mono) > num_samples and stated < _UNKNOWN:
        log.warning("%s: %.3f s long; only the first %.3f s are used", name, stated / rate, num_samples / sample_rate)
    elif len(mono) > num_samples:
        log.warning("%s: longer than %.3f s; only these are used", name, num_samples / sample_rate)
    elif len(mono) < num_samples:
        lengths = (len(mono) / sample_rate, num_samples / sample_rate)
        log.warning("%s: %.3f s long, padded with silence to %.3f s", name, *lengths)
    mono = np.pad(mono[:num_samples], (0, max(0, num_samples - len(mono))))
    if np.abs(mono).max() < SILENCE:
        raise UserError(
            f"{name}: silent (below -80 dB) in the part that the model uses; raise the level or trim the start"
        )
    return mono


def _check_header(path: Path, sound: soundfile.SoundFile, channel: str | None) -> None:
    """Raise UserError for implausible values in a header, before memory is allocated for them."""
    name = path_text(path)
    if sound.samplerate not in RATES:
        raise UserError(
            f"{name}: its header says {sound.samplerate} Hz, but sounds have {RATES[0]} to {RATES[-1]}; export it again"
        )
    if sound.frames < 1:
        size = path.stat().st_size
        raise UserError(
            f"{name}: its header states 0 samples, but the file has {size} bytes; record or export it again"
        )
    if sound.channels > 1 and channel is None:
        raise UserError(f"{name}: {sound.channels} channels, but the model needs one; give channel=mix, left or right")


def resampling_ratio(rate: int, sample_rate: int) -> tuple[int, int]:
    """Return the factors of interpolation and decimation, limited, since large primes would need huge filters."""
    small, large = sorted((rate, sample_rate))
    ratio = Fraction(small, large).limit_denominator(_MOST_FACTOR)
    if rate > sample_rate:
        return ratio.numerator, ratio.denominator
    return ratio.denominator, ratio.numerator


def samples_before(num_samples: int, up: int, down: int) -> int:
    """Return how many samples of a sound decide the first `num_samples` after it is resampled by `up / down`."""
    margin = math.ceil(FILTER_ZEROS * max(up, down) / up) if up != down else 0
    return math.ceil(num_samples * down / up) + margin + 1


def mono_blocks(
    path: Path, sound: soundfile.SoundFile, channel: str | None, count: int = _UNKNOWN, warn: bool = True
) -> Iterator[np.ndarray]:
    """Yield the first `count` samples in blocks (n,) float32, or fewer, since the length in a header may be wrong.

    With `warn` a wrong length is logged. Raises UserError for samples that are not finite or far above full scale.
    """
    stated = min(count, sound.frames)
    size = max(1, _BLOCK_VALUES // sound.channels)
    column = 0 if sound.channels == 1 else _CHANNELS.get(channel or "")
    found = 0
    while found < stated:
        block = sound.read(min(size, stated - found), dtype="float32", always_2d=True)
        if not len(block):
            break
        remedies = ("repair or export the file again", "export it with samples in -1..1")
        _require_plausible(block, path_text(path), *remedies, found)
        found += len(block)
        yield block.mean(axis=1) if column is None else block[:, column].copy()
    if not found:
        raise UserError(f"{path_text(path)}: none of its samples can be decoded; export it again")
    if warn and found < stated and sound.frames < _UNKNOWN:
        log.warning(
            "%s: its header says %.3f s, but only %.3f s can be decoded; it may be damaged",
            *(path_text(path.name), sound.frames / sound.samplerate, found / sound.samplerate),
        )


def write_clip(path: Path, audio: np.ndarray, sample_rate: int) -> None:
    """Write (T,) float32 as 16-bit WAV, completely or not at all; audio that would clip is scaled, with a warning."""
    peak = float(np.abs(audio).max())
    if peak > 1.0:
        log.warning("%s: peaks at %.2f, scaled down to full scale", path_text(path.name), peak)
        audio = audio / peak
    content = io.BytesIO()
    soundfile.write(content, audio, sample_rate, format="WAV", subtype="PCM_16")
    write_atomic(path, content.getbuffer())
