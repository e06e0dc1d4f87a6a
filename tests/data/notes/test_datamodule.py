"""The datamodule of mixtures: splits, description and settings; a checkpoint's settings are checked."""

import numpy as np
import pytest
import torch

from src.data.notes.datamodule import NotesDataModule
from src.data.reopen import reopened
from src.models.checkpoint_schema import require_settings
from src.utils.errors import UserError
from tests import running
from tests.data.notes.test_mixtures import WORDS


@pytest.fixture(scope="module")
def data():
    return NotesDataModule(running.recipe("synth=karplus_strong", *WORDS), latest_onset=0.1, eval_batch_size=7, seed=3)


def test_the_plan_is_the_description_without_digests(data):
    plan, spec = data.planned_spec(), data.spec
    assert plan.counts == spec.counts == {"train": 80, "val": 10, "test": 10}
    assert plan.name == spec.name == "2_notes_karplus_strong_100" and not plan.sha256
    assert len(set(spec.sha256.values())) == 3 and spec.targets is None
    assert spec.map_classes == ("none", "lower", "higher") and spec.image_shape == (1, 64, 16)


def test_splits_are_consecutive_and_batches_hold_images_ranges_and_maps(data):
    whole, start = data.mixer.render(0, 100), 0
    for split, count in data.spec.counts.items():
        dataset = data.dataset(split)
        rows = np.arange(len(dataset))[::-1].copy()
        batch = dataset.__getitems__(rows)
        assert set(batch) == {"image", "scale", "map"} and len(dataset) == count and not dataset.labelled
        assert batch["map"].dtype == batch["image"].dtype == torch.uint8
        for name, values in (("image", whole.images), ("map", whole.maps), ("scale", whole.scales)):
            assert np.array_equal(batch[name], values[start : start + count][::-1])
        start += count
    maps, rule = data.dataset("test").maps_by_rule()
    assert maps.shape == (10, 64, 16) and "nearest partial" in rule


def test_settings_open_the_same_data_again(data):
    settings = data.checkpoint_settings()
    require_settings(settings)
    again = reopened(settings)
    assert again.settings == data.settings and again.spec == data.spec and again.eval_batch_size == 7


def test_settings_of_a_file_are_checked_before_anything_is_rendered(data):
    settings = data.checkpoint_settings()
    for key, value in (("notes", "2"), ("seed", -1), ("path", "x"), ("recipe", 3)):
        with pytest.raises(UserError, match=key):
            require_settings({**settings, key: value})
    recipe = settings["recipe"]
    huge = {**settings, "recipe": {**recipe, "dataset": {**recipe["dataset"], "size": 10**7}}}
    with pytest.raises(UserError, match=r"^data_settings: 10000000 mixtures of notes may take more than a minute"):
        reopened(huge)
    theirs = {**settings, "recipe": {**recipe, "synth": {**recipe["synth"], "voice": "os.VOICE"}}}
    with pytest.raises(UserError, match=r"its voice 'os.VOICE' is not built in"):
        reopened(theirs)
    with pytest.raises(UserError, match=r"^data_settings.notes|^data.notes: 0 given"):
        reopened({**settings, "notes": 0})
    with pytest.raises(UserError, match=r"^data.data_dir: here given"):
        reopened(settings, data_dir="here")


def test_a_recipe_that_is_wrong_names_its_key():
    recipe = running.recipe("synth=karplus_strong", *WORDS)
    with pytest.raises(UserError, match=r"^spectral.height"):
        NotesDataModule({**recipe, "spectral": {**recipe["spectral"], "height": 0}}).planned_spec()
