"""Recordings in blocks: what is read, cut, joined and written equals the same done on the whole recording."""

import resource
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from src.spectral import recording
from src.spectral.audio_file import read_clip
from src.spectral.recording import cut_clips, join_clips, read_blocks, resample_blocks, write_blocks
from src.utils.errors import UserError

FS = 8000


def noise(count, seed=0):
    return (0.3 * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


def blocks_of(sound, sizes):
    return np.split(sound, np.minimum(np.cumsum(sizes), len(sound)) if sizes else [])


def joined(blocks):
    return np.concatenate([np.empty(0, np.float32), *blocks])


SIZES = st.lists(st.integers(0, 2000), max_size=6)


@given(st.sampled_from([(1, 1), (1, 12), (80, 441), (3, 2), (147, 160), (7, 1)]), st.integers(1, 5000), SIZES)
@settings(max_examples=60, deadline=None)
def test_resampling_by_blocks_is_that_of_the_whole(ratio, count, sizes):
    sound = noise(count)
    found = joined(resample_blocks(blocks_of(sound, sizes), *ratio))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, resample_poly(sound, *ratio) if ratio != (1, 1) else sound, atol=1e-5)


@given(st.integers(0, 3000), SIZES, st.lists(st.integers(0, 4000), max_size=8, unique=True), st.integers(1, 1500))
@settings(max_examples=60, deadline=None)
def test_clips_are_slices_of_the_whole_with_silence_behind_it(count, sizes, starts, num_samples):
    sound, starts = noise(count), sorted(starts)
    clips = list(cut_clips(blocks_of(sound, sizes), starts, num_samples))
    padded = np.append(sound, np.zeros(6000, np.float32))
    assert len(clips) == len(starts)
    for start, clip in zip(starts, clips, strict=True):
        np.testing.assert_array_equal(clip, padded[start : start + num_samples])


@given(st.integers(1, 3000), st.lists(st.integers(0, 2999), min_size=1, max_size=6), st.integers(1, 900))
@settings(max_examples=60, deadline=None)
def test_a_clip_plays_until_the_next_begins_and_fades_out_under_it(length, starts, size):
    fade, starts = 50, sorted({start % length for start in starts})
    clips = [noise(size, seed) for seed in range(len(starts))]
    expected = np.zeros(length + size, np.float32)
    for start, end, clip in zip(starts, [*starts[1:], length], clips, strict=True):
        after_end = np.arange(size) - (end - start)
        heard = clip * np.clip(1 - after_end / fade, 0, 1)
        following = [next_start for next_start in starts if next_start > end]
        heard[(min(following) if following else length) - start :] = 0  # a fade ends where a third clip begins
        expected[start : start + size] += heard
    found = joined(join_clips(starts, clips, length, fade))
    np.testing.assert_allclose(found, expected[:length], atol=1e-6)


@pytest.mark.parametrize("rate", [FS, 44100])
def test_a_file_is_read_as_the_clip_reader_reads_it(tmp_path, rate, monkeypatch, caplog):
    monkeypatch.setattr("src.spectral.audio_file._BLOCK_VALUES", 7000)
    monkeypatch.setattr(recording, "_BLOCK", 900)
    soundfile.write(tmp_path / "a.wav", noise(2 * 30_000).reshape(-1, 2), rate, subtype="FLOAT")
    blocks = list(read_blocks(tmp_path / "a.wav", FS, "left"))
    assert max(map(len, blocks)) <= 900
    assert [record.getMessage() for record in caplog.records] == (
        [] if rate == FS else ["a.wav: resampled from 44100 to 8000 Hz, the sample rate of the model"]
    )
    sound = joined(blocks)
    np.testing.assert_allclose(sound, read_clip(tmp_path / "a.wav", FS, len(sound), "left"), atol=1e-5)
    assert len(sound) == -(-30_000 * FS // rate)
    caplog.clear()
    list(read_blocks(tmp_path / "a.wav", FS, "left", warn=False))
    assert not caplog.records


def test_a_damaged_file_is_one_line_wherever_the_damage_is(tmp_path, monkeypatch):
    monkeypatch.setattr("src.spectral.audio_file._BLOCK_VALUES", 1000)
    sound = noise(5000)
    sound[4321] = np.nan
    soundfile.write(tmp_path / "nan.wav", sound, FS, subtype="FLOAT")
    soundfile.write(tmp_path / "stereo.wav", noise(100).reshape(-1, 2), FS)
    (tmp_path / "text.wav").write_text("not a sound")
    for name, words in (
        ("nan.wav", "sample 4321 is not finite"),
        ("stereo.wav", "2 channels, but the model needs one"),
        ("text.wav", "not a sound file"),
        ("missing.wav", "no such file"),
    ):
        with pytest.raises(UserError, match=rf"^{tmp_path / name}: .*{words}"):
            list(read_blocks(tmp_path / name, FS))


@pytest.mark.parametrize("warn", [True, False])
def test_a_header_that_promises_too_much_is_told_once(tmp_path, caplog, warn):
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(5000), FS)
    content = bytearray(path.read_bytes())
    content[24] += 1  # of the number of samples: 256 more
    path.write_bytes(content)
    assert len(joined(read_blocks(path, FS, warn=warn))) == 5000
    words = "a.flac: its header says 0.657 s, but only 0.625 s can be decoded; it may be damaged"
    assert [record.getMessage() for record in caplog.records] == [words] * warn


@pytest.mark.parametrize("most", [2**30, 1000])
def test_blocks_are_written_as_floats_also_above_full_scale(tmp_path, monkeypatch, most):
    monkeypatch.setattr(recording, "_MOST_WAV", most)
    sound = 10 * noise(5000)
    write_blocks(tmp_path / "a/b.wav", np.split(sound, 10), FS, len(sound))
    found, rate = soundfile.read(tmp_path / "a/b.wav", dtype="float32")
    np.testing.assert_array_equal(found, sound)
    assert rate == FS and soundfile.info(tmp_path / "a/b.wav").format == ("RF64" if most < 5000 else "WAV")


def test_a_recording_that_fails_half_way_leaves_no_part_of_a_file(tmp_path):
    def failing():
        yield noise(100)
        raise UserError("damaged")

    with pytest.raises(UserError, match="damaged"):
        write_blocks(tmp_path / "a.wav", failing(), FS, 200)
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_recording(tmp_path):
    peaks = []
    for seconds in (10, 60):
        path = tmp_path / f"{seconds}.wav"
        write_blocks(path, (noise(96_000, second) for second in range(seconds)), 96_000, 96_000 * seconds)
        tracemalloc.start()
        write_blocks(tmp_path / "out.wav", read_blocks(path, FS), FS, FS * seconds)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 50e6  # the longer one has 23 MB of samples


def test_a_full_disk_is_an_error_of_the_disk_and_leaves_no_part_of_a_file(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"a\.wav"):
            write_blocks(tmp_path / "a.wav", (noise(8000) for _ in range(50)), FS, 400_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
