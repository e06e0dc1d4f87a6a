"""The spec: into a checkpoint and back, frozen."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from src.data.info import read_spec
from src.data.spec import DatasetSpec


def test_our_spec_survives_the_json_and_a_checkpoint(tiny):
    spec = read_spec(tiny)
    assert spec.image_shape == (1, 8, 6) and spec.counts == {"train": 120, "val": 15, "test": 15}
    assert spec.space.names == ("note_velocity", "filter_cutoff") and spec.space.num_classes == (10, 19)
    assert spec.space.fixed["filter_resonance"] == 0.5 and spec.space.varying[1].scale == "log"
    assert spec.origin.spectral.image_scaling == "global" and spec.metadata_bytes == 14
    again = DatasetSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again.to_dict() == spec.to_dict() and again.space == spec.space and again.image_shape == spec.image_shape


def test_a_spec_is_frozen_and_replaceable(tiny):
    spec = read_spec(tiny)
    assert replace(spec, name="other").name == "other"
    with pytest.raises(FrozenInstanceError):
        spec.name = "other"
