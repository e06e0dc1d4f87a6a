"""The differentiable voice against the generator's sounds and images, and its gradients for every parameter."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.synth.saw_moog import SAW_MOOG, SAW_MOOG_LOG
from src.utils.errors import UserError
from tests import running

SYNTHS = ("simple_saw", "simple_saw_log", "moog_basic", "moog_basic_log", "moog_resonance", "moog_envelope")
FS = 8000
CONTINUOUS = [spec for spec in SAW_MOOG.parameters if spec.kind == "continuous"]
NUM_SAMPLES = 4000


@pytest.fixture(scope="module")
def front_end():
    recipe = running.recipe("synth=moog_basic")
    recipe["synth"]["duration"] = NUM_SAMPLES / FS
    return load_source(parse_recipe(recipe)).front_end


@pytest.mark.parametrize("name", SYNTHS)
def test_sounds_and_images_equal_the_generators(name):
    source = load_source(parse_recipe(running.recipe(f"synth={name}")))
    synth = source.recipe.synth
    values = source.synth.space.sample(0, 0, 16)
    parameters = {key: torch.from_numpy(one) for key, one in source.synth.space.complete(values).items()}
    settings = {**source.synth.voice.settings, **synth.settings}
    audio = source.synth.voice.differentiable(parameters, synth.sample_rate, synth.num_samples, **settings)
    assert audio.is_contiguous() and audio.dtype == torch.float32
    np.testing.assert_allclose(audio, source.sounds(values), rtol=0, atol=1e-5)
    images, expected = source.front_end(audio)[0].numpy(), source.float_images(values)[0]
    assert 255 * np.abs(images - expected).max() < 0.01


@pytest.mark.slow
def test_gradient_steps_on_the_image_find_the_parameters():
    """From 32 random starts: after 150 steps of Adam nearly all are within a class step in all four parameters."""
    source = load_source(parse_recipe(running.recipe("synth=moog_basic")))
    space, synth = source.synth.space, source.recipe.synth
    truth = space.sample(0, 0, 32)
    image = torch.from_numpy(source.float_images(truth)[0])
    fixed = {name: torch.full((32,), value, dtype=torch.float64) for name, value in space.fixed.items()}
    unit = torch.from_numpy(space.normalize(space.sample(0, 32, 32))).requires_grad_()
    optimizer = torch.optim.Adam([unit], lr=0.04)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 150)
    for _ in range(150):
        values = torch.from_numpy(space.min) + unit * torch.from_numpy(space.max - space.min)
        parameters = fixed | dict(zip(space.names, values.unbind(dim=1), strict=True))
        audio = SAW_MOOG.differentiable(parameters, synth.sample_rate, synth.num_samples)
        optimizer.zero_grad()
        (source.front_end(audio)[0] - image).abs().mean(dim=(1, 2, 3)).sum().backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            unit.clamp_(0, 1)
    error = np.abs(space.denormalize(unit.detach().numpy()) - truth)
    assert (error <= space.step).all(axis=1).mean() >= 0.9


def random_parameters(count, seed=0, at_edge=0.3):
    """Draw every parameter from its whole range; a share of the values is at one of its ends."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for spec in SAW_MOOG.parameters:
        values = rng.uniform(spec.min, spec.max, count)
        edges = rng.choice([spec.min, spec.max], count)
        drawn[spec.name] = torch.from_numpy(np.where(rng.random(count) < at_edge, edges, values))
    drawn["filter_enabled"] = torch.from_numpy(rng.integers(0, 2, count).astype(float))
    return drawn


def check_gradients(front_end, given, dtype=torch.float32, **settings):
    learned = {spec.name: given[spec.name].to(dtype).requires_grad_() for spec in CONTINUOUS}
    audio = SAW_MOOG.differentiable({**given, **learned}, FS, NUM_SAMPLES, **settings)
    images, _ = front_end(audio)
    for loss in (audio.square().mean(), (images - 0.5).abs().mean()):
        gradients = torch.autograd.grad(loss, list(learned.values()), retain_graph=True)
        for name, gradient in zip(learned, gradients, strict=True):
            assert gradient.isfinite().all(), (name, {key: one[~gradient.isfinite()] for key, one in given.items()})
    return dict(zip(learned, gradients, strict=True))


@pytest.mark.parametrize("drive", [0.0, 0.5])
def test_gradients_are_finite_after_random_draws_and_at_the_edges(front_end, drive):
    gradients = check_gradients(front_end, random_parameters(250, at_edge=0.3), drive=drive)
    assert all(one.any() for one in gradients.values())


@pytest.mark.slow
@pytest.mark.parametrize("drive", [0.0, 0.5, 2.0])
def test_gradients_are_finite_after_10000_random_draws(front_end, drive):
    for seed in range(80):
        check_gradients(front_end, random_parameters(128, seed, at_edge=0.25 * (seed % 4)), drive=drive)


def test_gradients_are_finite_at_every_edge_alone(front_end):
    """Each parameter at both ends, the others at their defaults: silence, a pitch above half the sample rate, ..."""
    rows = []
    for spec in SAW_MOOG.parameters:
        for edge in (spec.min, spec.max):
            rows.append([edge if other is spec else other.default for other in SAW_MOOG.parameters])
    columns = np.array(rows, float).T
    given = {spec.name: torch.from_numpy(column) for spec, column in zip(SAW_MOOG.parameters, columns, strict=True)}
    check_gradients(front_end, given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_parameters_in_half_precision_give_finite_gradients_of_their_dtype(front_end, dtype):
    gradients = check_gradients(front_end, random_parameters(64), dtype)
    assert all(one.dtype == dtype for one in gradients.values())


def typical(dtype=torch.float64):
    """Return three voices, in float64, with all corners of their envelopes between samples."""
    given = {
        **{"note_number": [40.37, 60.21, 71.13], "note_velocity": [100, 64, 120], "log10_decay_time": [-1, -2, 0]},
        **{"filter_enabled": [1, 1, 1], "filter_cutoff": [200, 900, 1500], "filter_resonance": [0.3, 0.9, 0.98]},
        **{"filter_env_attack": [0.0051, 0.0101, 0.0003], "filter_env_decay": [0.0043, 0.0203, 0.0078]},
        **{"filter_env_sustain": [0.3, 0.8, 0.5], "filter_env_release": [0.0061, 0.0207, 0.0021]},
        **{"filter_env_amount": [1.5, -1, 0]},
    }
    return {name: torch.tensor(values, dtype=dtype) for name, values in given.items()}


def in_steps(values, name):
    """Return a function of a parameter in a unit of about 1, since gradcheck makes the same step everywhere."""
    unit = {"filter_cutoff": 1000.0, "note_velocity": 100.0}.get(name, 1.0)
    given = (values / unit).clone().requires_grad_()
    return given, unit


@pytest.mark.parametrize("spec", CONTINUOUS, ids=lambda spec: spec.name)
def test_the_gradient_of_each_parameter_matches_finite_differences(spec):
    given, unit = in_steps(typical()[spec.name], spec.name)

    def render(one):
        return SAW_MOOG.differentiable({**typical(), spec.name: unit * one}, FS, 150, dtype=torch.float64)

    gradcheck(render, (given,), eps=1e-7, rtol=1e-3, atol=1e-4, check_forward_ad=True, fast_mode=True)


def test_the_log_scaled_voice_has_the_same_sound_and_a_gradient_of_its_own():
    decay_time = torch.tensor([0.1, 0.01, 1.0], requires_grad=True)
    given = typical()
    expected = SAW_MOOG.differentiable(given, FS, 300)
    del given["log10_decay_time"]
    audio = SAW_MOOG_LOG.differentiable({**given, "decay_time": decay_time}, FS, 300)
    torch.testing.assert_close(audio, expected, rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(audio.square().sum(), decay_time)
    assert (gradient > 0).all()  # a longer sound has more energy


def test_an_amount_of_zero_still_has_a_gradient():
    amount = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    audio = SAW_MOOG.differentiable({**typical(), "filter_env_amount": amount}, FS, 150)
    still = SAW_MOOG.differentiable({**typical(), "filter_env_amount": amount.detach()}, FS, 150)
    torch.testing.assert_close(audio, still, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(audio.square().sum(), amount)
    assert (gradient != 0).all()


def test_a_bypassed_filter_has_no_gradient_and_equals_the_generator():
    given = typical() | {"filter_enabled": torch.tensor([0.0, 1.0, 0.0])}
    cutoff = given["filter_cutoff"].clone().requires_grad_()
    audio = SAW_MOOG.differentiable({**given, "filter_cutoff": cutoff}, FS, 150)
    (gradient,) = torch.autograd.grad(audio.square().sum(), cutoff)
    assert (gradient != 0).tolist() == [False, True, False]
    expected = SAW_MOOG.render({name: one.numpy() for name, one in given.items()}, FS, 150)
    np.testing.assert_allclose(audio.detach(), expected.T, rtol=0, atol=1e-6)


def test_the_naive_oscillator_holds_the_pitch():
    note = typical()["note_number"].requires_grad_()
    velocity = typical()["note_velocity"].requires_grad_()
    given = {**typical(), "note_number": note, "note_velocity": velocity}
    audio = SAW_MOOG.differentiable(given, FS, 150, oscillator="naive")
    expected = SAW_MOOG.render({name: one.detach().numpy() for name, one in given.items()}, FS, 150, "naive")
    np.testing.assert_allclose(audio.detach(), expected.T, rtol=0, atol=1e-6)
    gradients = torch.autograd.grad(audio.square().sum(), (note, velocity), allow_unused=True)
    assert gradients[0] is None and gradients[1].all()


def test_a_wrong_setting_is_told_as_the_generator_tells_it():
    for settings in ({"oscillator": "square"}, {"drive": -1}):
        with pytest.raises(UserError, match=r"^synth\.settings\."):
            SAW_MOOG.differentiable(typical(), FS, 150, **settings)
