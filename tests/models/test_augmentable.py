"""Which transforms are refused, by the head, the task or the images at fault, and which labels a gain moves."""

from dataclasses import replace

import pytest
import torch

from src.data.augment.augmentation import TRANSFORMS, parse_augmentation
from src.data.inputs import Inputs
from src.data.vimh_datamodule import VIMHDataModule
from src.models.augmentable import _by_word, require_augmentable
from src.models.build import build_model
from src.models.preflight import preflight
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests import running

COMPOUND = {"_target_": "weighted_multi", "losses": [{"loss": "cross_entropy"}, {"loss": "focal"}]}
CLASSES = {"default": {"kind": "classification"}}


def task_of(spec, *overrides, **heads):
    config = running.plain("train", "model", *overrides)
    config["heads"] |= heads
    return build_model(config, spec).heads


@pytest.fixture(scope="module")
def spec(saw):
    return VIMHDataModule(saw).spec


def checked(spec, augment, *overrides, **heads):
    return require_augmentable(parse_augmentation(augment, 0), spec, task_of(spec, *overrides, **heads))


def unrendered(spec):
    """Return the description of a dataset without a recipe, whose sounds cannot be rendered."""
    return replace(spec, origin=replace(spec.origin, generator=None))


@pytest.mark.parametrize(
    ("augment", "given", "words"),
    [
        ({"flip": {}}, ((), {}), "data.augment.flip: it is for pictures, but .* has spectral images; leave it out"),
        ({"time_shift": {"frames": 32}}, ((), {}), "time_shift: with these settings it can empty an image of 32x32; l"),
        (
            {"cutmix": {"allow": ["note_velocity"]}},
            ((), {}),
            r"data.augment.cutmix.allow: a mixed image has the labels",
        ),
        ({"gain": {"allow": ["velocity"]}}, ((), {}), r"data.augment.gain.allow: velocity is no trained head. Did you"),
        (
            {"mixup": {}},
            ((), {}),
            "data.augment.mixup: note_velocity, log10_decay_time: a head of kind regression takes no mixed",
        ),
        (
            {"cutmix": {}},
            (("heads=ordinal",), {}),
            "data.augment.cutmix: note_velocity, log10_decay_time: a head of kind ordinal",
        ),
        ({"cutmix": {}}, (("heads=coral",), {}), "note_velocity, log10_decay_time: a head of kind coral"),
        ({"cutmix": {}}, (("heads=corn",), {}), "note_velocity, log10_decay_time: a head of kind corn"),
        ({"cutmix": {}}, (("heads=mixture",), {}), "note_velocity, log10_decay_time: a head of kind mixture"),
        (
            {"token_mix": {}},
            ((), {"default": {"kind": "classification", "loss": COMPOUND}}),
            "data.augment.token_mix: note_velocity, log10_decay_time: a head with several losses",
        ),
        (
            {"mixup": {}},
            ((), {"default": {"kind": "classification", "loss": "ordinal_regression"}}),
            "data.augment.mixup: note_velocity, log10_decay_time: a head with the loss OrdinalRegressionLoss takes no",
        ),
        (
            {"spec_augment": {}},
            (("loss=render",), {}),
            "data.augment.spec_augment: this task compares sounds with the images",
        ),
        ({"mixup": {}}, (("loss=pnp",), CLASSES), "data.augment.mixup: the loss of PNPTask takes no mixed images"),
    ],
)
def test_what_cannot_be_taken_is_one_line(spec, augment, given, words):
    overrides, heads = given
    with pytest.raises(UserError, match=words) as error:
        checked(spec, augment, *overrides, **heads)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["mixup", "gain"])
def test_the_remedy_of_a_refusal_is_a_word_that_the_command_takes(spec, name):
    spec, word = unrendered(spec), f"+data.augment.{name}={{}}"
    with pytest.raises(UserError) as error:
        checked(spec, {name: {}})
    remedy = str(error.value).partition("or give ")[2].split(", without")[0]
    augment = running.plain("train", "data", word, remedy)["augment"]
    assert checked(spec, augment, word, remedy).checked


def test_classification_heads_and_untrained_ones_take_mixes(spec):
    assert checked(spec, {"mixup": {}}, **CLASSES).checked
    heads = {"log10_decay_time": {"kind": "classification"}, "note_velocity": {"weight": 0.0}}
    assert checked(spec, {"mixup": {}}, **heads).checked


def test_a_gain_moves_the_velocity_of_a_native_voice_and_is_refused_without_its_sounds(spec):
    assert checked(spec, {"gain": {}}).level.spec.name == "note_velocity"
    with pytest.raises(UserError, match=r"gain: labels would be wrong .note_velocity: its name .*allow=\[note_velo"):
        checked(unrendered(spec), {"gain": {}})
    assert checked(unrendered(spec), {"gain": {"allow": ["note_velocity"]}}).level is None
    assert checked(unrendered(spec), {"gain": {}}, note_velocity={"weight": 0.0}).checked


@pytest.mark.parametrize(
    ("name", "parameter", "unit", "is_refused"),
    [
        ("frequency_shift", "note_velocity", "MIDI velocity", False),
        ("frequency_shift", "sine_note", "", True),
        ("frequency_shift", "transpose", "MIDI note", True),
        ("frequency_shift", "oscillator", "kHz", True),
        ("gain", "feedback", "", False),
        ("gain", "output_db", "", True),
        ("gain", "output", "dB", True),
        ("tilt", "interval", "semitones", False),
        ("tilt", "spectral_slope", "dB/octave", True),
        ("tilt", "Tone", "", True),
    ],
)
def test_words_of_names_and_units_refuse_what_they_mean(name, parameter, unit, is_refused):
    trained = {parameter: ParameterSpec(name=parameter, min=1, max=2, step=1, unit=unit)}
    assert (parameter in _by_word(TRANSFORMS[name](), trained)) == is_refused


def test_what_imitates_a_parameter_by_its_sounds_is_refused_whatever_its_name(spec):
    sounds = {"reverberation": {"frames": 30, "wet_db": 0, "allow": ["log10_decay_time"]}}
    with pytest.raises(UserError, match=r"note_velocity: parameters explain \d+% of the change"):
        checked(spec, sounds)
    assert checked(unrendered(spec), sounds).checked
    for harmless in ({"spec_augment": {}}, {"noise": {}}, {"time_shift": {}}):
        assert checked(spec, harmless).checked


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_scaling": "per_sample"}, "changes levels, which spectral.image_scaling=per_sample removes"),
        ({"channels": ("magnitude", "group_delay")}, "channel group_delay holds none"),
    ],
)
def test_levels_are_changed_only_where_there_are_some(spec, change, words):
    spectral = spec.origin.spectral.model_copy(update=change)
    shape = (len(spectral.channels), *spec.image_shape[1:])
    other = replace(spec, inputs=Inputs(shape), origin=replace(spec.origin, spectral=spectral, generator=None))
    with pytest.raises(UserError, match=f"data.augment.noise: .*{words}"):
        checked(other, {"noise": {}})
    assert checked(other, {"spec_augment": {}}).checked


def test_images_with_other_values_are_refused(spec):
    other = replace(spec, inputs=replace(spec.inputs, value_range=(-1.0, 1.0)))
    with pytest.raises(
        UserError, match=r"spec_augment: it is for values from 0 to 1, but the images of .* hold -1 to 1"
    ):
        checked(other, {"spec_augment": {}})


def test_levels_that_the_description_does_not_give_are_not_changed(spec):
    other = replace(spec, origin=replace(spec.origin, spectral=None, generator=None))
    with pytest.raises(UserError, match=r"noise: it changes levels in dB, which the description of .* not"):
        checked(other, {"noise": {}})
    assert checked(other, {"spec_augment": {}, "time_shift": {}}).checked


def test_features_take_all_that_suits_the_images(spec):
    assert checked(spec, {"mixup": {}, "tilt": {}, "gain": {}}, "task=features").checked


def test_preflight_checks_a_datamodules_augmentation(saw):
    data = VIMHDataModule(saw, augment={"gain": {}})
    config = running.plain("train", "model")
    preflight(data, build_model(config, data.spec))
    assert data.augmentation.checked and data.augmentation.level is not None
    data = VIMHDataModule(saw, augment={"tilt": {"allow": ["nothing"]}})
    with pytest.raises(UserError, match=r"data\.augment\.tilt\.allow"):
        preflight(data, build_model(config, data.spec))


def test_the_label_of_a_louder_sound_is_that_of_its_image(spec):
    augmentation = checked(spec, {"gain": {"decibels": 3}})
    torch.manual_seed(0)
    batch = {
        "image": torch.full((50, *spec.image_shape), 0.5),
        "target": torch.rand(50, len(spec.space)),
        "scale": torch.tensor([[-80.0, 0.0]]).expand(50, 2),
        "index": torch.arange(50),
    }
    found = augmentation(batch, 0)
    at, velocity = augmentation.level.column, augmentation.level.spec
    before, after = (velocity.min + (velocity.max - velocity.min) * one["target"][:, at] for one in (batch, found))
    gain = (found["image"] - 0.5).mean((1, 2, 3)) * 80
    torch.testing.assert_close(20 * (after / before).log10(), gain, atol=1e-3, rtol=0)
    assert (
        float(after.min()) > velocity.min and float((after == before).float().mean()) < 0.9
    )  # none piled up at the end
    others = [column for column in range(len(spec.space)) if column != at]
    assert torch.equal(found["target"][:, others], batch["target"][:, others]) and float(gain.abs().max()) > 1


def test_a_task_with_maps_takes_no_transform(spec):
    task = task_of(spec)
    task.dense = True
    with pytest.raises(UserError, match=r"spec_augment: the maps of ParametersTask would not change with the images"):
        require_augmentable(parse_augmentation({"spec_augment": {}}, 0), spec, task)
