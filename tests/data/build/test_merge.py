"""Merging: the same parameters in any order, ranges united on one grid, and one line for each difference."""

import numpy as np
import pytest

from src.data.build.build import build
from src.data.build.config import BuildConfig
from src.data.build.merge import merge_spaces, merge_specs, open_pool
from src.data.generate import generate
from src.data.info import read_spec
from src.data.origin import source_of
from src.data.vimh_dataset import VIMHDataset
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests.data.conftest import tiny_recipe
from tests.data.references import edit_info, read_info, snapshot, write_ancestor

LEVEL = {"name": "level", "min": 0, "max": 10, "step": 2, "unit": "dB"}
CUTOFF = {"name": "cutoff", "min": 100, "max": 1600, "step": 100, "scale": "log"}
WAVE = {"name": "wave", "values": ["sine", "saw"]}
COLOR = {"name": "color", "min": 0, "max": 3, "kind": "categorical"}
NOTE = {"name": "note", "min": 60, "max": 60}


def space_of(*entries):
    return ParameterSpace([ParameterSpec(**entry) for entry in entries])


def merged(*spaces):
    return merge_spaces(spaces, [f"set_{number}" for number in range(len(spaces))])


def test_ranges_are_united_in_the_order_of_the_first():
    first = space_of(LEVEL, CUTOFF, WAVE, NOTE)
    second = space_of(WAVE, NOTE, LEVEL | {"min": -4, "max": 6}, CUTOFF)
    assert merged(first, second) == space_of(LEVEL | {"min": -4}, CUTOFF, WAVE, NOTE)
    assert merged(first, first) == first


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"step": 1}, ["level: step 2.0 in set_0, but step 1.0 in set_1"]),
        ({"unit": "%"}, ["level: unit dB in set_0, but unit % in set_1"]),
        ({"kind": "ordinal"}, ["level: kind continuous in set_0, but kind ordinal"]),
        ({"min": 1, "max": 11}, ["level: 0..10 by 2 dB in set_0, but 1..11 by 2 dB in set_1"]),
        ({"min": 4, "max": 4}, ["level: 0..10 by 2 dB in set_0, but 4 in set_1"]),
        ({"name": "gain"}, ["level: a parameter of set_0, but not of set_1"]),
    ],
    ids=str,
)
def test_a_difference_is_one_line(change, parts):
    with pytest.raises(UserError) as raised:
        merged(space_of(LEVEL, WAVE), space_of(LEVEL | change, WAVE))
    assert all(part in str(raised.value) for part in parts)


def test_log_ranges_categories_and_fixed_values_must_be_the_same():
    for one, other in (
        (CUTOFF, CUTOFF | {"max": 3200}),
        (WAVE, {"name": "wave", "values": ["saw", "sine"]}),
        (COLOR, COLOR | {"max": 4}),
    ):
        with pytest.raises(UserError, match=f"{one['name']}: "):
            merged(space_of(one), space_of(other))
    with pytest.raises(UserError, match="note: 60 in set_0, but 61 in set_1"):
        merged(space_of(LEVEL, NOTE), space_of(LEVEL, NOTE | {"min": 61, "max": 61}))


@pytest.fixture(scope="module")
def louder(tmp_path_factory):
    """The sounds of `tiny` with another seed, from twice as loud on; its parameters are in another order."""
    config = tiny_recipe(**{"dataset.size": 64, "dataset.seed": 3, "dataset.name": "louder"}).model_dump()
    config["synth"]["parameters"] = {
        "filter_cutoff": config["synth"]["parameters"]["filter_cutoff"],
        "note_velocity": {"min": 99, "step": 7, "max": 127},
        "filter_resonance": {"value": 0.5},
    }
    recipe = tiny_recipe().model_validate(config)
    return generate(recipe, tmp_path_factory.mktemp("louder"))[0]


def test_a_pool_numbers_all_samples_and_reads_each_as_its_source_does(tiny, louder):
    before = snapshot(tiny), snapshot(louder)
    pool, facts = open_pool([str(tiny), str(louder)])
    assert len(pool) == 150 + 64 and pool.is_exact
    assert pool.spec.space == read_spec(tiny).space
    expected = np.concatenate([np.load(one / f"{split}_params.npy") for one in (tiny, louder) for split in
                               ("train", "val", "test")])  # fmt: skip
    swapped = read_spec(louder).space.names != pool.spec.space.names
    expected[150:] = expected[150:, ::-1] if swapped else expected[150:]
    np.testing.assert_array_equal(pool.values(), expected)
    samples = np.array([213, 0, 150, 149, 120])
    images, _ = pool.images(samples)
    last = VIMHDataset(louder, "test")
    np.testing.assert_array_equal(images[0], last[len(last) - 1]["image"])
    np.testing.assert_array_equal(images[4], VIMHDataset(tiny, "val")[0]["image"])
    np.testing.assert_array_equal(images, source_of(pool.spec).images(pool.values()[samples])[0])
    assert [fact["name"] for fact in facts] == ["tiny", "louder"]
    assert facts[0]["sha256"]["train"] == read_info(tiny)["sha256"]["train"]
    assert (snapshot(tiny), snapshot(louder)) == before


def test_the_recipe_of_united_ranges_renders_both(tiny, louder, tmp_path):
    spec = merge_specs([read_spec(louder), read_spec(tiny)])
    assert (spec.space.min[spec.space.index("note_velocity")], spec.origin.sensitivity) == (64, [])
    assert spec.origin.recipe["synth"]["parameters"]["note_velocity"]["min"] == 64
    config = BuildConfig.model_validate({"from": [str(louder), str(tiny)], "name": "united"})
    place, _ = build(config, tmp_path)
    train = VIMHDataset(place, "train", verify=True)
    rows = np.arange(len(train))
    np.testing.assert_array_equal(train.gather(rows)[0], source_of(read_spec(place)).images(train.values)[0])
    source_of(spec)  # raises if recipe and parameters disagree
    assert merge_specs([read_spec(tiny)]).origin.recipe == read_spec(tiny).origin.recipe


def test_the_recipe_of_parameters_that_vary_by_themselves_is_kept(tiny, copy_of):
    automatic = copy_of(tiny)
    info = read_info(automatic)
    synth = info["generator"]["config"]["synth"]
    synth["auto"] = True
    del synth["parameters"]["note_velocity"]
    edit_info(automatic, generator=info["generator"])
    spec = read_spec(automatic)
    merged = merge_specs([spec, spec])
    assert merged.origin.recipe == spec.origin.recipe
    assert merged.origin.sensitivity == spec.origin.sensitivity
    assert merge_specs([spec, read_spec(tiny)]).origin.recipe is None


def test_the_recipe_of_other_sounds_is_not_kept(tiny, copy_of):
    other = copy_of(tiny)
    info = read_info(other)
    info["generator"]["config"]["synth"]["settings"] = {"other": 1}
    edit_info(other, generator=info["generator"])
    assert merge_specs([read_spec(tiny), read_spec(other)]).origin.recipe is None


def test_images_of_another_front_end_are_one_line(tiny, tmp_path):
    other = generate(tiny_recipe(**{"spectral.floor_db": -60.0, "dataset.name": "other"}), tmp_path)[0]
    with pytest.raises(UserError, match=r"other: its images differ .* spectral.floor_db = -80.0, but -60.0 is given"):
        merge_specs([read_spec(tiny), read_spec(other)])


def test_labels_of_an_ancestor_are_decoded(tmp_path):
    written = write_ancestor(tmp_path / "old")
    pool, facts = open_pool([str(tmp_path / "old")])
    assert not pool.is_exact
    codes = np.concatenate([codes for _, codes in written.values()])
    np.testing.assert_allclose(pool.values(), codes / 25.5, rtol=1e-6)
    assert set(facts[0]["sha256"]) == {"vimh_dataset_info.json", "train", "test"}


def test_a_damaged_source_is_refused(tiny, copy_of):
    other = copy_of(tiny)
    content = bytearray((other / "train").read_bytes())
    content[-1] ^= 1
    (other / "train").write_bytes(content)
    with pytest.raises(UserError, match="sha256"):
        open_pool([str(other)])
