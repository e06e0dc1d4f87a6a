"""Recordings of any length, block by block: read and resample, cut into clips, join clips, write."""

import errno
import logging
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import firwin, resample_poly

from src.spectral.audio_file import FILTER_ZEROS, mono_blocks, open_sound, resampling_ratio
from src.utils.files import open_atomic, path_text

log = logging.getLogger(__name__)

_MOST_WAV = 2**30 - 2**10  # float32 samples of a WAV file, whose header states its bytes in 32 bits
_BLOCK = 2**18  # samples of a block, of which an onset curve needs 130 bytes each


def read_blocks(path: Path, sample_rate: int, channel: str | None = None, warn: bool = True) -> Iterator[np.ndarray]:
    """Yield a sound file as blocks (n,) float32 mono at `sample_rate`; joined, they are the whole recording.

    With `warn` each change is logged; a file that is read again needs it only once. Raises UserError as `read_clip`
    does, but not for silence.
    """
    with open_sound(path, channel) as sound:
        if warn and sound.samplerate != sample_rate:
            log.warning(
                "%s: resampled from %d to %d Hz, the sample rate of the model",
                *(path_text(path.name), sound.samplerate, sample_rate),
            )
        up, down = resampling_ratio(sound.samplerate, sample_rate)
        for block in resample_blocks(mono_blocks(path, sound, channel, warn=warn), up, down):
            for first in range(0, len(block), _BLOCK):
                yield block[first : first + _BLOCK]


def resample_blocks(blocks: Iterable[np.ndarray], up: int, down: int) -> Iterator[np.ndarray]:
    """Yield a sound in blocks (n,) float32 at `up / down` times its rate; joined, as `resample_poly` of the whole.

    Each block is resampled together with the samples beside it that the filter reaches.
    """
    if up == down:
        yield from blocks
        return
    widest = max(up, down)
    taps = firwin(2 * FILTER_ZEROS * widest + 1, 1 / widest, window=("kaiser", 5.0)).astype(np.float32)  # the default
    margin = down * math.ceil(FILTER_ZEROS * widest / (up * down))  # a whole number of output samples
    skipped = margin * up // down
    buffer = np.zeros(margin, np.float32)  # silence before the sound
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        count = (len(buffer) - 2 * margin) // down * down
        if count > 0:
            resampled = resample_poly(buffer[: count + 2 * margin], up, down, window=taps)
            yield resampled[skipped : skipped + count * up // down]
            buffer = buffer[count:]
    if len(buffer) > margin:
        yield resample_poly(buffer, up, down, window=taps)[skipped:]


def cut_clips(blocks: Iterable[np.ndarray], starts: Iterable[int], num_samples: int) -> Iterator[np.ndarray]:
    """Yield the clip (num_samples,) of a recording from each start on, in order; what is missing at its end is 0."""
    stream = iter(blocks)
    buffer, first = np.empty(0, np.float32), 0  # `first` is the number of the buffer's first sample
    for start in starts:
        while True:
            passed = min(start - first, len(buffer))
            buffer, first = buffer[passed:], first + passed
            block = None if len(buffer) >= num_samples else next(stream, None)
            if block is None:
                break
            buffer = np.concatenate([buffer, block])
        clip = buffer[:num_samples]
        yield np.pad(clip, (0, num_samples - len(clip)))


def join_clips(starts: list[int], clips: Iterable[np.ndarray], length: int, fade: int) -> Iterator[np.ndarray]:
    """Yield a recording of `length` samples, in blocks, that plays each clip (T,) from its start, below `length`, on.

    A clip ends where the next one starts: from there on it fades out, linearly over `fade` samples, under the new clip.
    """
    yield from _silence(starts[0])
    tail = np.empty(0, np.float32)  # of the clip before, fading
    for start, end, clip in zip(starts, [*starts[1:], length], clips, strict=True):
        played = np.concatenate([clip[: end - start], np.zeros(max(0, min(fade, end - start) - len(clip)), np.float32)])
        shared = min(len(tail), len(played))
        played[:shared] += tail[:shared]
        yield played
        yield from _silence(end - start - len(played))
        tail = clip[end - start :][:fade]
        tail = tail * np.linspace(1, 0, fade, endpoint=False, dtype=np.float32)[: len(tail)]


def _silence(count: int) -> Iterator[np.ndarray]:
    for done in range(0, count, _BLOCK):
        yield np.zeros(min(_BLOCK, count - done), np.float32)


def write_blocks(path: Path, blocks: Iterable[np.ndarray], sample_rate: int, length: int) -> None:
    """Write a sound of `length` samples in blocks (n,) as 32-bit float WAV, completely or not at all.

    Floats keep levels above full scale, which are not known before the end. From 4 GB on the format is RF64.
    Raises OSError if the disk is full.
    """
    kind = "WAV" if length <= _MOST_WAV else "RF64"
    try:
        with (
            open_atomic(path) as file,
            soundfile.SoundFile(file.fileno(), "w", sample_rate, 1, "FLOAT", format=kind, closefd=False) as sound,
        ):
            for block in blocks:
                sound.write(block)
    except soundfile.SoundFileError as error:
        raise OSError(errno.EIO, getattr(error, "error_string", str(error)).rstrip("."), str(path)) from error
