"""Onsets: notes are found where they were put, steady sounds have none, and blocks do not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.spectral.onsets import onset_curve, pick_onsets, shift_to_attack, surroundings

FS = 8000
HOP = 0.01  # s


def onsets_of(sound, rate=FS, threshold=2.0, floor=-60.0, min_gap=0.1):
    """Return onsets in s; silence follows, as after a file."""
    curve, _ = onset_curve(np.append(sound, np.zeros(rate // 10)).astype(np.float32), rate, floor)
    return np.array(pick_onsets(curve, rate, threshold, min_gap)) / rate


def time(seconds, rate=FS):
    return np.arange(round(seconds * rate)) / rate


def plucked(frequency, rate, decay=0.15):
    """A saw of ten partials that decays."""
    t = time(1.0, rate)
    partials = [np.sin(2 * np.pi * frequency * n * t) / n for n in range(1, 11) if frequency * n < rate / 2]
    return 0.3 * np.sum(partials, axis=0) * np.exp(-t / decay)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_notes_are_found_within_a_hop_of_where_they_begin(rate, noise):
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.uniform(0.4, 0.9, 20))
    sound = noise * rng.standard_normal(round((starts[-1] + 2) * rate))
    for start in starts:
        note = plucked(rng.uniform(60, 800), rate)
        first = round(start * rate)
        sound[first : first + len(note)] += rng.uniform(0.3, 1) * note
    found = onsets_of(sound, rate)
    assert len(found) == len(starts)
    assert np.abs(found - starts).max() <= HOP


def test_the_flux_is_that_of_its_definition():
    """In float64, frame by frame, with numpy's FFT."""
    sound = np.random.default_rng(0).standard_normal(4000) * np.linspace(0, 0.5, 4000)
    curve, _ = onset_curve(sound.astype(np.float32), FS, -60.0)
    hop, length = 80, 480
    padded, window = np.append(np.zeros(length + 3 * hop), sound), np.hanning(length + 1)[:-1]

    def power(frame):  # which ends before sample (frame + 1) * hop of the sound
        end = length + 3 * hop + (frame + 1) * hop
        return np.abs(np.fft.rfft(padded[end - length : end] * window)[1:] * 2 / window.sum()) ** 2

    def height(frame):
        return 10 * np.log10(np.maximum(power(frame), 1e-6)) + 60

    for frame in (0, 1, 2, 3, 10, 49):
        now, before = height(frame), height(frame - 3) if frame > 2 else np.zeros(length // 2)
        largest = [before[max(0, at - 1) : at + 2].max() for at in range(len(before))]
        flux = (now * np.maximum(now - largest, 0)).sum() / (now.sum() + 100)
        assert curve[frame] == pytest.approx([flux, 10 * np.log10(max(power(frame).sum(), 1e-6))], abs=1e-2)
    assert len(curve) == 50


@given(st.lists(st.integers(0, 3000), max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_blocks_joined_are_the_whole(sizes, seed):
    rng = np.random.default_rng(seed)
    sound = (0.5 * rng.standard_normal(6000) * (np.arange(6000) % 2500 < 700)).astype(np.float32)
    whole, _ = onset_curve(sound, FS, -60.0)
    state, curves = None, []
    for block in np.split(sound, np.minimum(np.cumsum(sizes), len(sound)) if sizes else []):
        curve, state = onset_curve(block, FS, -60.0, state)
        curves.append(curve)
    joined = np.concatenate(curves)
    np.testing.assert_allclose(joined, whole, atol=1e-3)
    assert pick_onsets(joined, FS, 2.0, 0.1) == pick_onsets(whole, FS, 2.0, 0.1)


STEADY = {
    "sine": 0.5 * np.sin(2 * np.pi * 440 * time(3)),
    "vibrato": 0.5 * np.sin(2 * np.pi * 440 * time(3) + 8 * np.sin(2 * np.pi * 5 * time(3))),
    "tremolo": 0.5 * np.sin(2 * np.pi * 440 * time(3)) * (1 + 0.5 * np.sin(2 * np.pi * 5 * time(3))),
    "low saw": 0.5 - 31.3 * time(3) % 1,
    "a note that is cut": 0.5 * np.sin(2 * np.pi * 440 * time(3)) * (time(3) < 1.5),
}


@pytest.mark.parametrize("name", STEADY)
def test_a_note_begins_once(name):
    assert onsets_of(STEADY[name]) == pytest.approx([0.0], abs=HOP)


@given(st.sampled_from(["silence", "noise", "DC"]), st.floats(1e-4, 1), st.integers(0, 2 * FS), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_steady_sound_begins_at_most_once(kind, level, length, seed):
    rng = np.random.default_rng(seed)
    sound = {"silence": np.zeros, "noise": rng.standard_normal, "DC": np.ones}[kind](length)
    found = onsets_of(level * sound, threshold=3.0)
    assert len(found) <= (kind != "silence") and (found <= 0.06).all()


def test_what_lies_below_the_floor_and_within_the_gap_is_no_onset():
    sound = np.zeros(3 * FS)
    for start, level in ((1.0, 1.0), (1.2, 1.0), (2.0, 1e-3)):
        note = level * plucked(300, FS, decay=0.03)
        sound[round(start * FS) :][: len(note)] += note[: len(sound) - round(start * FS)]
    assert onsets_of(sound) == pytest.approx([1.0, 1.2], abs=HOP)
    assert onsets_of(sound, floor=-100.0) == pytest.approx([1.0, 1.2, 2.0], abs=HOP)
    assert onsets_of(sound, min_gap=0.3) == pytest.approx([1.0], abs=HOP)


def test_notes_closer_than_the_usual_gap_are_found_with_a_smaller_one():
    """The second note of these, 60 ms later, overlaps the first; the third is far away."""
    starts = [0.5, 0.56, 1.5]
    sound = np.zeros(3 * FS)
    for start, frequency in zip(starts, (200, 450, 200), strict=True):
        sound[round(start * FS) :][:FS] += plucked(frequency, FS)
    assert onsets_of(sound, min_gap=0.05) == pytest.approx(starts, abs=HOP)
    assert onsets_of(sound) == pytest.approx([0.5, 1.5], abs=HOP)


@pytest.mark.parametrize("late", [-100, 0, 37, 150])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_a_note_is_shifted_to_its_first_samples(late, noise):
    lead, count = surroundings(FS)
    samples = noise * np.random.default_rng(0).standard_normal(count)
    samples[lead + late :] += plucked(300, FS)[: count - lead - late]
    assert 0 <= shift_to_attack(samples, FS, -60.0) - late <= (1 if noise else 0)
    assert shift_to_attack(noise * np.ones(count), FS, -60.0) == 0
