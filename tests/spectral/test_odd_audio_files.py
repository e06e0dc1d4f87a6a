"""Sound files whose headers lie, that have no length, or that are none: nothing is allocated by a header's word."""

import logging
import os
import struct

import numpy as np
import pytest
import soundfile

from src.evaluation.predict import sound_files
from src.spectral.audio_file import read_clip
from src.utils.errors import UserError
from tests.mutation.oracle import bounded_memory

FS = 8000
TIME = np.arange(FS) / FS
SINE = (0.5 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)


def written(path, subtype="PCM_16", sound=SINE):
    soundfile.write(path, sound, FS, subtype=subtype)
    return path


def told(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def patched(path, *changes):
    content = bytearray(path.read_bytes())
    for at, new in changes:
        content[at : at + len(new)] = new
    path.write_bytes(content)
    return path


def streamed_flac(path):
    """Return a FLAC file that does not tell its length: 36 bits of STREAMINFO are 0 (RFC 9639, 8.2)."""
    written(path)
    content = path.read_bytes()
    return patched(path, (21, bytes([content[21] & 0xF0]) + bytes(4)))


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path, caplog):
    expected = read_clip(written(tmp_path / "a.flac"), FS, FS)
    found = read_clip(streamed_flac(tmp_path / "b.flac"), FS, FS)
    np.testing.assert_array_equal(found, expected)
    assert not told(caplog)
    short = read_clip(tmp_path / "b.flac", FS, FS // 2)
    np.testing.assert_array_equal(short, expected[: FS // 2])
    long = read_clip(tmp_path / "b.flac", FS, 2 * FS)
    np.testing.assert_array_equal(long, np.concatenate([expected, np.zeros(FS, np.float32)]))
    assert told(caplog) == [
        "b.flac: longer than 0.500 s; only these are used",
        "b.flac: 1.000 s long, padded with silence to 2.000 s",
    ]


@pytest.mark.parametrize("samples", [2**30, 2**36 - 1])
def test_a_flac_that_claims_more_samples_than_it_holds_takes_no_memory(tmp_path, caplog, samples):
    path = written(tmp_path / "a.flac")
    high = path.read_bytes()[21] & 0xF0
    patched(path, (21, bytes([high | samples >> 32]) + struct.pack(">I", samples & 0xFFFFFFFF)))
    with bounded_memory():
        try:
            clip = read_clip(path, FS, 2 * FS)
        except UserError as error:
            assert str(path) in str(error)
            return
    assert np.abs(clip[:FS] - SINE).max() < 2**-14 and not clip[FS:].any()
    assert any("only 1.000 s can be decoded" in one for one in told(caplog))


@pytest.mark.parametrize("size", [2**31 - 2, 2**32 - 1, 2**32 - 2, 10**6])
def test_a_wav_whose_data_is_shorter_than_it_says_is_read_as_far_as_it_goes(tmp_path, caplog, size):
    path = written(tmp_path / "a.wav")
    at = path.read_bytes().index(b"data") + 4
    patched(path, (at, struct.pack("<I", size)), (4, struct.pack("<I", 2**32 - 1)))
    with bounded_memory():
        clip = read_clip(path, FS, 4 * FS)
    assert np.abs(clip[:FS] - SINE).max() < 2**-14 and not clip[FS:].any()


@pytest.mark.parametrize("channels", [0, 3, 255, 1024, 65_535])
def test_a_wav_that_lies_about_its_channels_is_one_line_or_read_in_bounds(tmp_path, channels):
    path = patched(written(tmp_path / "a.wav"), (22, struct.pack("<H", channels)))
    with bounded_memory():
        for channel in (None, "mix"):
            try:
                assert read_clip(path, FS, FS, channel).shape == (FS,)
            except UserError as error:
                assert str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 2**31 - 1, 2**32 - 1])
def test_a_rate_that_no_sound_has_is_one_line(tmp_path, rate):
    path = patched(written(tmp_path / "a.wav"), (24, struct.pack("<I", rate)))
    with bounded_memory(), pytest.raises(UserError, match=rf"^{path}: "):
        read_clip(path, FS, FS)


@pytest.mark.parametrize("rate", [767_999, 766_861, 7919, 1009])
def test_a_rate_of_a_large_prime_needs_no_large_filter(tmp_path, rate):
    path = patched(written(tmp_path / "a.wav"), (24, struct.pack("<I", rate)))
    with bounded_memory():
        assert read_clip(path, FS, FS).shape == (FS,)


def test_no_more_is_read_than_is_used(tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", FS, 1, "PCM_16") as file:
        for _ in range(600):  # ten minutes
            file.write(SINE)
    path.write_bytes(path.read_bytes()[: 44 + 4 * FS])  # nobody may miss the rest
    np.testing.assert_allclose(read_clip(path, FS, FS), SINE, atol=2**-14)


def test_a_high_rate_is_not_read_for_a_model_of_a_low_one(tmp_path):
    """Few bytes of FLAC can hold hundreds of megabytes of a constant."""
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 655_350, 1, "PCM_16") as file:
        for _ in range(3):
            file.write(np.full(655_350, 0.5))
    with bounded_memory():
        assert read_clip(path, 1000, 3000).shape == (3000,)
        patched(path, (21, bytes([path.read_bytes()[21] | 1])))  # 2^32 samples more
        with pytest.raises(UserError, match=r"16777216 samples at 655350 Hz; resample it to 1000 Hz$"):
            read_clip(path, 1000, 300_000)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "a pipe and not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "a device and not a file"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
            "git lfs pull",
        ),
    ],
    ids=["pipe", "endless", "pointer"],
)
def test_what_is_no_sound_file_is_told_and_not_waited_for(tmp_path, make, words):
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(UserError) as raised:
        read_clip(path, FS, FS)
    assert words in str(raised.value)


def test_a_name_that_is_not_utf_8_is_read_and_shown_escaped(tmp_path, caplog):
    for name, shown in ((b"caf\xe9.wav", r"caf\xe9.wav"), (b"a\x1b[31m\n.wav", r"a\x1b[31m\n.wav")):
        path = tmp_path / os.fsdecode(name)
        written(tmp_path / "plain.wav").rename(path)
        caplog.clear()
        np.testing.assert_allclose(read_clip(path, FS, FS // 2), SINE[: FS // 2], atol=2**-14)
        assert told(caplog) == [f"{shown}: 1.000 s long; only the first 0.500 s are used"]
        path.write_bytes(b"no sound")
        with pytest.raises(UserError) as raised:
            read_clip(path, FS, FS)
        assert shown in str(raised.value) and str(raised.value).isprintable()


def test_a_folder_is_read_without_what_is_hidden(tmp_path):
    names = ["a.wav", "B.FLAC", os.fsdecode(b"caf\xe9.wav")]
    for name in (*names, "._a.wav", ".hidden.wav", ".DS_Store", "notes.txt", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / ".Trash").mkdir()
    (tmp_path / ".Trash/b.wav").write_bytes(b"x")
    assert {path.name for path in sound_files(tmp_path)} == set(names)
