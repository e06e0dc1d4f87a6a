"""Filters on labels and images, compared with plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.build.filter import content_keys, matches, unit_limits, unwanted
from src.data.build.merge import open_pool
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec, Origin
from src.data.vimh.records import pack_records
from src.data.vimh.writer import DatasetWriter
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests.data.conftest import tiny_recipe

SPACE = ParameterSpace(
    [
        ParameterSpec(name="cutoff", min=100, max=1600, step=100, scale="log"),
        ParameterSpec(name="wave", values=["sine", "saw", "noise"]),
        ParameterSpec(name="octave", min=-2, max=2, step=1, kind="ordinal"),
        ParameterSpec(name="color", min=1, max=4, kind="categorical"),
    ]
)
VALUES = SPACE.sample(0, 0, 500)


@given(
    st.floats(100, 1600),
    st.floats(0, 1500),
    st.sets(st.sampled_from(["sine", "saw", "noise"]), min_size=1),
    st.integers(-2, 2),
)
def test_filters_agree_with_a_loop(low, width, waves, octave):
    high = min(low + width, 1600)
    conditions = {"cutoff": [low, high], "wave": sorted(waves), "octave": [octave, None]}
    expected = [
        np.float32(low) <= cutoff <= np.float32(high)
        and ["sine", "saw", "noise"][int(wave)] in waves
        and number >= octave
        for cutoff, wave, number, _ in VALUES
    ]
    kept = matches(SPACE, VALUES, conditions)
    np.testing.assert_array_equal(kept, expected)
    unit = SPACE.normalize(VALUES[kept])
    limits = unit_limits(SPACE, conditions)
    assert (unit[:, 0] >= limits[0, 0] - 1e-6).all() and (unit[:, 0] <= limits[0, 1] + 1e-6).all()
    assert limits[2].tolist() == [(octave + 2) / 5, 1.0] and limits[3].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("conditions", "part"),
    [
        ({"cutof": [1, 2]}, "Did you mean 'cutoff'"),
        ({"cutoff": [1]}, "filter.cutoff: [1] given; give [least, greatest]"),
        ({"cutoff": ["low", "high"]}, "filter.cutoff"),
        ({"cutoff": [300, 200]}, "give a part of 100..1600"),
        ({"cutoff": [1700, None]}, "give a part of 100..1600"),
        ({"wave": ["saww"]}, "filter.wave: 'saww' is no category"),
        ({"color": [5]}, "filter.color: 5 is no category"),
    ],
    ids=str,
)
def test_a_condition_that_does_not_fit_is_one_line(conditions, part):
    with pytest.raises(UserError) as raised:
        matches(SPACE, VALUES, conditions)
    assert part in str(raised.value)


def test_categories_without_names_are_numbers():
    np.testing.assert_array_equal(matches(SPACE, VALUES, {"color": [1, 4]}), np.isin(VALUES[:, 3], [1, 4]))


@pytest.fixture
def odd(tmp_path):
    """A dataset of 12 samples a split: 0 is silent, 1 clipped, 2 and 3 equal, 4 of each split the same sample."""
    space = ParameterSpace([ParameterSpec(name="a", min=0, max=1, step=0.1)])
    counts = {"train": 12, "val": 12, "test": 12}
    spectral = tiny_recipe().spectral
    spec = DatasetSpec(
        "odd", Inputs((1, 8, 6)), space, Origin(8000.0, 0.1, "odd", spectral), counts=counts, metadata_bytes=14
    )
    draw = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "odd", spec) as writer:
        for split in counts:
            images, values = draw.integers(1, 255, (12, 1, 8, 6), np.uint8), draw.random((12, 1), np.float32)
            images[0], images[1, 0, 3, 3] = 7, 255
            images[3], values[3] = images[2], values[2]
            images[4], values[4] = np.arange(48).reshape(1, 8, 6), 0.5
            images[5], values[5] = images[6], 0.25
            scale = np.tile(np.float32([-80, 0]), (12, 1))
            writer.write(split, np.arange(12), pack_records(images, space.to_byte(values), scale), values)
    return tmp_path / "odd"


def test_what_is_wrong_with_images_is_found(odd):
    pool, _ = open_pool([str(odd)])
    samples = np.arange(36)
    found = unwanted(pool, samples, pool.values(), ["silent", "clipped", "duplicates"])
    assert np.flatnonzero(found["silent"]).tolist() == [0, 12, 24]
    assert np.flatnonzero(found["clipped"]).tolist() == [1, 13, 25]
    # the sample of all splits stays in test; a sample of equal image and other labels is no copy
    assert np.flatnonzero(found["duplicates"]).tolist() == [3, 4, 15, 16, 27]
    backwards = unwanted(pool, samples[::-1], pool.values()[::-1], ["silent", "duplicates"])
    assert np.flatnonzero(backwards["silent"][::-1]).tolist() == [0, 12, 24]
    assert np.flatnonzero(backwards["duplicates"][::-1]).tolist() == [3, 4, 15, 16, 27]


def test_content_is_equal_if_and_only_if_labels_and_images_are(odd):
    pool, _ = open_pool([str(odd)])
    samples = np.array([2, 3, 4, 5, 6, 16, 28, 30])
    values = pool.values()[samples]
    keys = content_keys(pool, samples, values)
    images = pool.images(samples)[0]
    contents = [(value.tobytes(), image.tobytes()) for value, image in zip(values, images, strict=True)]
    for one in range(len(samples)):
        for other in range(len(samples)):
            assert (keys[one] == keys[other]) == (contents[one] == contents[other])


def test_clipping_is_not_known_of_images_with_ranges_of_their_own(odd):
    pool, _ = open_pool([str(odd)])
    own = pool.spec.origin.spectral.model_copy(update={"image_scaling": "per_sample"})
    object.__setattr__(pool.spec.origin, "spectral", own)
    with pytest.raises(UserError, match="drop: clipped given"):
        unwanted(pool, np.arange(3), pool.values()[:3], ["clipped"])
