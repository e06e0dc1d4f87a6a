"""Checks of recordings, compared with loops over samples and pairs."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.folder_checks import Findings, find_near_copies, is_clipped
from src.spectral.audio_file import to_mono


@given(st.lists(st.sampled_from([0.0, 0.5, 0.99999, -0.99999, 0.995]), max_size=12))
def test_clipping_is_four_equal_samples_at_full_scale(samples):
    runs = [len(list(run)) for value, run in itertools.groupby(samples) if abs(value) > 0.99]
    assert is_clipped(np.array(samples, np.float32)) == (max(runs, default=0) >= 4)


@pytest.mark.parametrize("bits", [np.uint8, np.int16])
def test_a_loud_sine_is_not_clipped_until_it_is_overdriven(bits):
    time = np.arange(44100) / 44100
    limits = np.iinfo(bits)
    middle, peak = (limits.max + limits.min + 1) // 2, limits.max - (limits.max + limits.min + 1) // 2

    def stored(gain):
        wave = np.clip(gain * np.sin(2 * np.pi * 1000 * time), -1, 1)
        return to_mono((middle + np.rint(peak * wave)).astype(bits))

    assert not is_clipped(stored(1.0)) and is_clipped(stored(1.4))  # by 3 dB


def test_near_copies_are_those_of_a_loop_over_pairs():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 8, 6), np.uint8)
    for clip, other in ((3, 40), (7, 8), (20, 21), (50, 51)):
        images[other] = np.clip(images[clip].astype(int) + generator.integers(-2, 3, (8, 6)), 0, 255)
    sources, in_train = np.arange(60), np.arange(60) < 45
    sources[21] = 20  # two clips of one file
    labels = np.arange(60) // 50  # 7 and 8 have the same, 3 and 40 too, but not 45 and 55
    images[55] = images[45]
    wanted = set()
    for clip, other in itertools.permutations(range(60), 2):
        one, two = images[clip].astype(float), images[other].astype(float)
        apart = np.linalg.norm(one - two) / max(np.linalg.norm(one), np.linalg.norm(two))
        if apart < 0.03 and sources[clip] != sources[other] and labels[clip] == labels[other]:
            wanted.add((clip, other, False))
            if in_train[other] and not in_train[clip]:
                wanted.add((clip, other, True))
    assert set(find_near_copies(images, labels, sources, in_train)) == wanted
    assert {pair[:2] for pair in wanted} == {(3, 40), (40, 3), (7, 8), (8, 7), (50, 51), (51, 50)}
    in_train[40] = False
    assert (40, 3, True) in set(find_near_copies(images, labels, sources, in_train))


def test_the_description_holds_the_first_files_only():
    findings = Findings()
    for number in range(1000):
        findings.add("short", f"{number}.wav")
    findings.add("copies", "a.wav", "b.wav")
    plain = findings.to_dict()
    assert plain["short"]["files"] == 1000 and len(plain["short"]["first"]) == 10
    assert plain["copies"] == {"files": 1, "first": [["a.wav", "b.wav"]]} and plain.keys() == {"short", "copies"}
    assert [row[1] for row in findings.table()[1]] == ["1,000", "1"]
