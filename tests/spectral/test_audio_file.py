"""Sound files in and out: exact where nothing is changed, told where something is, one line where it cannot be."""

import logging

import numpy as np
import pytest
import soundfile

from src.spectral.audio_file import read_clip, write_clip
from src.utils.errors import UserError

FS = 8000


def sine(frequency=440.0, seconds=1.0, rate=FS, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def written(path, sound, rate=FS, subtype="FLOAT"):
    soundfile.write(path, sound, rate, subtype=subtype)
    return path


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_float_file_of_the_right_rate_and_length_is_read_bit_by_bit(tmp_path, caplog):
    sound = np.random.default_rng(0).uniform(-1.5, 1.5, FS).astype(np.float32)  # float files may exceed full scale
    clip = read_clip(written(tmp_path / "a.wav", sound), FS, FS)
    assert clip.dtype == np.float32
    np.testing.assert_array_equal(clip, sound)
    assert not warnings_of(caplog)


@pytest.mark.parametrize(("suffix", "bits"), [("wav", 16), ("flac", 16), ("wav", 24), ("flac", 24), ("aiff", 16)])
def test_integer_files_are_read_as_fractions_of_full_scale(tmp_path, suffix, bits):
    codes = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), FS)
    sound = codes.astype(np.int16) if bits == 16 else (codes << 8).astype(np.int32)
    clip = read_clip(written(tmp_path / f"a.{suffix}", sound, subtype=f"PCM_{bits}"), FS, FS)
    np.testing.assert_array_equal(clip, codes / 2 ** (bits - 1))


@pytest.mark.parametrize("rate", [44100, 48000, 16000, 4000])
def test_resampling_keeps_a_sine_and_says_so(tmp_path, caplog, rate):
    clip = read_clip(written(tmp_path / "a.wav", sine(rate=rate), rate), FS, FS)
    middle = slice(400, -400)  # the filter's ends see silence
    assert np.abs(clip - sine())[middle].max() < 0.002
    assert warnings_of(caplog) == [f"a.wav: resampled from {rate} to 8000 Hz, the sample rate of the model"]


def test_resampling_takes_out_what_would_alias(tmp_path):
    both = sine(440, rate=48000) + sine(11_000, rate=48000)
    clip = read_clip(written(tmp_path / "a.wav", both, 48000), FS, FS)
    assert np.abs(clip - sine())[400:-400].max() < 0.002


def test_a_long_file_is_trimmed_and_a_short_one_padded_with_a_warning(tmp_path, caplog):
    long = read_clip(written(tmp_path / "long.wav", sine(seconds=1.5)), FS, FS)
    short = read_clip(written(tmp_path / "short.wav", sine(seconds=0.25)), FS, FS)
    np.testing.assert_array_equal(long, sine())
    np.testing.assert_array_equal(short, np.concatenate([sine(seconds=0.25), np.zeros(6000)]))
    assert warnings_of(caplog) == [
        "long.wav: 1.500 s long; only the first 1.000 s are used",
        "short.wav: 0.250 s long, padded with silence to 1.000 s",
    ]


@pytest.mark.parametrize(("channel", "weights"), [("left", [1, 0]), ("right", [0, 1]), ("mix", [0.5, 0.5])])
def test_of_two_channels_the_one_asked_for_is_heard(tmp_path, channel, weights):
    stereo = np.stack([sine(440), sine(1000)], axis=1)
    clip = read_clip(written(tmp_path / "a.wav", stereo), FS, FS, channel)
    np.testing.assert_allclose(clip, stereo @ np.float32(weights), atol=1e-7)


def test_a_mono_file_needs_no_channel_and_ignores_one(tmp_path):
    path = written(tmp_path / "a.wav", sine())
    np.testing.assert_array_equal(read_clip(path, FS, FS, "right"), sine())


def bad(sound, at, value):
    sound = sound.copy()
    sound[at] = value
    return sound


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, ["no such file", "give a sound file"]),
        (lambda path: path.mkdir(), ["a folder and not a file"]),
        (lambda path: path.write_bytes(b""), ["0 bytes", "give a sound file"]),
        (lambda path: path.write_text("no sound at all"), ["not a sound file", "convert it to WAV"]),
        (lambda path: path.write_bytes(b"RIFF\xff\xff\xff\xffWAVE"), ["not a sound file"]),
        (lambda path: written(path, sine(seconds=0)), ["its header states 0 samples"]),
        (lambda path: written(path, bad(sine(), 123, np.nan)), ["sample 123 is not finite"]),
        (lambda path: written(path, bad(sine(), 7, -np.inf)), ["sample 7 is not finite"]),
        (lambda path: written(path, np.zeros(FS)), ["silent", "-80 dB"]),
        (lambda path: written(path, sine(amplitude=9e-5)), ["silent"]),
        (lambda path: written(path, np.concatenate([np.zeros(FS), sine()])), ["silent", "trim the start"]),
        (lambda path: written(path, np.stack([sine()] * 2, axis=1)), ["2 channels", "channel=mix, left or right"]),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_naming_it(tmp_path, write, words):
    path = tmp_path / "a.wav"
    write(path)
    with pytest.raises(UserError) as raised:
        read_clip(path, FS, FS)
    message = str(raised.value)
    assert "\n" not in message and message.startswith(str(path)) and all(word in message for word in words), message


def test_written_sound_is_16_bit_and_what_was_given(tmp_path, caplog):
    write_clip(tmp_path / "a.wav", sine(), FS)
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (FS, 1, FS, "PCM_16")
    assert np.abs(soundfile.read(tmp_path / "a.wav")[0] - sine()).max() <= 2**-15
    assert not warnings_of(caplog)


def test_what_would_clip_is_scaled_down_with_a_warning(tmp_path, caplog):
    write_clip(tmp_path / "a.wav", sine(amplitude=2.0), FS)
    read = soundfile.read(tmp_path / "a.wav")[0]
    assert np.abs(read - sine(amplitude=1.0)).max() <= 2**-14
    assert warnings_of(caplog) == ["a.wav: peaks at 2.00, scaled down to full scale"]
