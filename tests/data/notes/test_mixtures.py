"""Mixtures of notes: a pure function of seed and index, whose maps say which note is the loudest."""

import numpy as np
import pytest
import torch

from src.data.notes.mixtures import Mixer
from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.synth.saw_moog import note_to_hz
from src.utils.errors import UserError
from tests import running

WORDS = (
    *("spectral.height=64", "spectral.width=16", "spectral.n_fft=512", "spectral.n_window=512", "dataset.size=100"),
    *("synth.duration=0.5", "synth.parameters.note_number.min=48", "synth.parameters.note_number.max=72"),
)


def mixer_of(*words, synth="karplus_strong", **options):
    return Mixer(load_source(parse_recipe(running.recipe(f"synth={synth}", *WORDS, *words))), **options)


@pytest.fixture(scope="module")
def mixer():
    return mixer_of(latest_onset=0.1)


@pytest.fixture(scope="module")
def rendered(mixer):
    return mixer.render(0, 100)


def test_a_mixture_depends_only_on_the_seed_and_its_index(mixer, rendered):
    for start, count in ((0, 1), (63, 3), (90, 10)):
        for whole, part in zip(rendered, mixer.render(start, count), strict=True):
            assert np.array_equal(whole[start : start + count], part)
    other = mixer_of("dataset.seed=1", latest_onset=0.1).render(0, 8)
    assert not np.array_equal(other.images, rendered.images[:8])
    assert rendered.images.dtype == rendered.maps.dtype == np.uint8
    assert rendered.images.shape == (100, 1, 64, 16) and rendered.maps.shape == (100, 64, 16)


def test_pitches_differ_are_in_order_and_everything_else_is_drawn_for_each_note(mixer, rendered):
    values, onsets = mixer.draw(0, 500)
    space = mixer.source.synth.space
    pitch = values[..., space.index("note_number")]
    assert np.array_equal(pitch[:100], rendered.pitches)
    assert (np.diff(pitch, axis=1) >= 1).all() and set(pitch.ravel()) == set(range(48, 73))
    assert 0.0 <= onsets.min() < 0.01 and 0.09 < onsets.max() < 0.1
    other = values[..., space.index("decay_time")]
    assert abs(np.corrcoef(other[:, 0], other[:, 1])[0, 1]) < 0.2
    pairs = {tuple(pair) for pair in pitch.tolist()}
    assert len(pairs) > 200  # of 300


@pytest.mark.parametrize("synth", ["karplus_strong", "additive"])
@pytest.mark.parametrize("notes", [2, 3])
def test_images_are_of_the_sum_and_maps_are_of_the_loudest_note(synth, notes):
    """Notes are rendered one by one, shifted by a loop, and compared pixel by pixel in float64."""
    mixer = mixer_of(synth=synth, notes=notes, latest_onset=0.1, threshold_db=-50.0)
    found = mixer.render(5, 2)
    values, onsets = mixer.draw(5, 2)
    front_end = mixer.source.front_end
    for row in range(2):
        sounds = []
        for note in range(notes):
            sound = mixer.source.synth.render(values[row, note][None])[:, 0].astype(np.float64) / notes
            shift = int(onsets[row, note] * 8000)
            sounds.append(np.concatenate([np.zeros(shift), sound[: len(sound) - shift]]))
        both = front_end(torch.tensor(np.sum(sounds, axis=0), dtype=torch.float32)[None])[0]
        assert np.abs(front_end.to_bytes(both)[0].numpy().astype(int) - found.images[row]).max() <= 1
        levels = front_end(torch.tensor(np.array(sounds), dtype=torch.float32))[0][:, 0].numpy() * 80.0 - 80.0
        expected = np.where(levels.max(axis=0) >= -50.0, levels.argmax(axis=0) + 1, 0)
        assert (expected != found.maps[row]).mean() < 0.005  # two notes may be equal but for rounding
        assert set(np.unique(found.maps[row])) <= set(range(notes + 1)) and (found.maps[row] > 0).any()


def test_the_rule_finds_the_nearest_partial(mixer, rendered):
    maps = mixer.nearest_partials(rendered.images, rendered.pitches)
    for pixel in np.argwhere(np.ones((3, 64, 16)))[::37]:
        row, band, _ = pixel
        hz = (band + 1) * 8000 / 512
        distance = [min(abs(hz - k * float(note_to_hz(p))) for k in range(1, 20)) for p in rendered.pitches[row]]
        loud = rendered.images[row, 0][tuple(pixel[1:])] / 255 * 80 - 80 >= -60.0
        assert maps[tuple(pixel)] == (1 + np.argmin(distance) if loud else 0)
    assert (maps == rendered.maps).mean() > 0.8 > (rendered.maps == 0).mean()
    assert mixer_of("spectral=mel_32x32", "spectral.height=32").nearest_partials(rendered.images, None) is None


def test_classes_are_named_by_pitch():
    assert mixer_of().classes == ("none", "lower", "higher")
    assert mixer_of(notes=5).classes == ("none", "note_1", "note_2", "note_3", "note_4", "note_5")


@pytest.mark.parametrize(
    ("words", "options", "cause"),
    [
        ((), {"notes": 0}, "data.notes: 0 given"),
        ((), {"notes": 9}, "data.notes: 9 given; give 1 to 8"),
        ((), {"latest_onset": 0.5}, "data.latest_onset: 0.5 given; give at least 0 s and less than 0.5 s"),
        ((), {"latest_onset": -0.1}, "data.latest_onset: -0.1 given"),
        ((), {"threshold_db": -80.0}, "data.threshold_db: -80 given; give a level between -80 dB and 0 dB"),
        (("spectral.image_scaling=per_sample",), {}, "spectral.image_scaling: per_sample given"),
        (("synth.parameters.note_number.max=49",), {"notes": 3}, "synth.parameters.note_number: 3 different pitches"),
        (("+synth.parameters.note_number.value=48",), {}, "synth.parameters.note_number: 2 different pitches"),
    ],
)
def test_what_cannot_be_rendered_is_one_line(words, options, cause):
    with pytest.raises(UserError) as raised:
        mixer_of(*words, **options)
    assert str(raised.value).startswith(cause) and "\n" not in str(raised.value)
