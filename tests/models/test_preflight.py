"""What is refused before training: nothing to learn, nothing to see, nothing finite."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from src.data.generate import generate
from src.data.recipe import parse_recipe
from src.data.vimh_datamodule import VIMHDataModule
from src.models.build import build_model
from src.models.preflight import preflight
from src.utils.errors import UserError
from tests import running


def model_of(data, **heads):
    config = running.plain("train", "model")
    config["heads"] |= heads
    return build_model(config, data.spec)


def refusal(data, model, **allowed):
    with pytest.raises(UserError) as raised:
        preflight(data, model, **allowed)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture(scope="module")
def classic(tmp_path_factory):
    """simple_saw_classic, whose velocity changes the image by less than a byte level."""
    recipe = running.recipe("synth=simple_saw_classic", "dataset.size=80")
    return generate(parse_recipe(recipe), tmp_path_factory.mktemp("classic"), allow_blind=True)[0]


@pytest.fixture
def constant(saw):
    """A dataset whose first label is the same in every training sample."""
    data = VIMHDataModule(saw)
    train = data.dataset("train")
    train.values = np.array(train.values)
    train.values[:, 0] = train.values[0, 0]
    return data


def test_good_data_pass_and_the_model_is_left_as_it_was(saw):
    data = VIMHDataModule(saw)
    model = model_of(data).train()
    before, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    preflight(data, model)
    assert model.training and torch.equal(rng, torch.get_rng_state())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_constant_label_names_the_head_and_the_remedy_works(constant):
    message = refusal(constant, model_of(constant))
    assert message.startswith("note_velocity: the same label in all 102 training sounds")
    assert "model.heads.note_velocity.weight" in message
    preflight(constant, model_of(constant, note_velocity={"weight": 0}))


def test_one_training_sample_is_too_few(tmp_path):
    directory = generate(parse_recipe(running.recipe("dataset.size=3")), tmp_path)[0]
    data = VIMHDataModule(directory)
    assert refusal(data, model_of(data)) == "the dataset has one training sample; give a larger dataset.size"


def test_a_blind_head_is_refused_unless_allowed_or_not_trained(classic):
    data = VIMHDataModule(classic)
    message = refusal(data, model_of(data))
    assert message.startswith("note_velocity has no measurable effect")
    assert "preflight.allow_blind=true" in message and "log10_decay_time" not in message
    preflight(data, model_of(data), allow_blind=True)
    preflight(data, model_of(data, note_velocity={"weight": 0}))


@pytest.mark.parametrize(("row", "name"), [(0, "note_velocity"), (1, "log10_decay_time")])
def test_a_loss_that_is_not_finite_names_the_head(saw, row, name):
    data = VIMHDataModule(saw)
    model = model_of(data)
    with torch.no_grad():
        model.heads.linear.bias[row] = float("nan")
    assert refusal(data, model) == f"{name}: the first loss is nan; check the data and model.heads.{name}"


def test_images_outside_of_the_range_that_the_spec_states_are_refused(saw):
    data = VIMHDataModule(saw)
    model = model_of(data)
    data._spec = replace(data.spec, inputs=replace(data.spec.inputs, value_range=(0.0, 0.25)))
    assert re.search(r": images hold values from 0 to \S+, but its spec states 0 to 0.25; ", refusal(data, model))
