"""What imitates a parameter, and which label a gain moves, both measured by rendering."""

import numpy as np
import torch

from src.data.augment.confounding import measure_imitations
from src.data.augment.level_label import find_level_label
from src.data.augment.masks import SpecAugment
from src.data.augment.sound import Gain, raised
from src.data.source import load_source
from tests.data.conftest import tiny_recipe


def test_a_gain_imitates_the_velocity_and_nothing_else_and_a_mask_imitates_nothing():
    source = load_source(tiny_recipe())
    found = measure_imitations(source, {"gain": Gain(), "spec_augment": SpecAugment(frames=2, rows=2)})
    velocity, cutoff = (source.synth.space.names.index(name) for name in ("note_velocity", "filter_cutoff"))
    assert found["gain"].explained > 0.95
    assert found["gain"].moves[velocity] > 0.2 and found["gain"].moves[cutoff] < 0.02
    assert found["spec_augment"].explained < 0.5


def test_a_gain_moves_the_velocity_to_the_label_of_the_louder_sound_within_its_range():
    source = load_source(tiny_recipe())
    label, space = find_level_label(source), source.synth.space
    assert label.spec.name == "note_velocity"
    values = source.first_values().astype(np.float64)
    images, scale = (torch.from_numpy(array) for array in source.float_images(values))
    wanted = torch.linspace(-12, 12, len(values)).double()
    target, decibels = label.moved(torch.from_numpy(space.normalize(values)), wanted)
    moved = space.denormalize(target.numpy())
    assert moved[:, label.column].min() >= 64 - 1e-6 and moved[:, label.column].max() <= 127 + 1e-6
    assert 0 < decibels.abs().max() < 6 and bool((decibels * wanted >= 0).all())  # 64 to 127 are 6 dB
    rendered = torch.from_numpy(source.float_images(moved)[0])
    found = raised(images, decibels.float()[:, None, None, None], scale)
    seen = (images > 0) & (rendered > 0)
    assert float((found - rendered)[seen].abs().max()) < 0.2 / 255


def test_without_a_level_among_the_parameters_no_label_is_moved():
    parameters = {"filter_cutoff": {"min": 200, "step": 100, "max": 2000, "scale": "log"}}
    assert find_level_label(load_source(tiny_recipe(**{"synth.parameters": parameters}))) is None
