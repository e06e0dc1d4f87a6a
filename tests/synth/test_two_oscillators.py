"""The voice of two oscillators against its parts, and its twin against it."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from src.synth.envelopes import adsr
from src.synth.oscillators import SHAPES, noise, wave
from src.synth.saw_moog import note_to_hz
from src.synth.two_oscillators import TWO_OSCILLATORS
from src.utils.errors import UserError

FS = 8000
CONTINUOUS = [spec for spec in TWO_OSCILLATORS.parameters if spec.kind == "continuous"]


def random_parameters(count, seed=0, at_edge=0.0):
    rng = np.random.default_rng(seed)
    drawn = {}
    for spec in TWO_OSCILLATORS.parameters:
        values = rng.uniform(spec.min, spec.max, count)
        if spec.kind == "categorical":
            values = rng.integers(spec.min, spec.max + 1, count).astype(float)
        edges = rng.choice([spec.min, spec.max], count)
        drawn[spec.name] = np.where(rng.random(count) < at_edge, edges, values)
    return drawn


def tensors(parameters):
    return {name: torch.from_numpy(values) for name, values in parameters.items()}


def test_it_is_its_oscillators_and_noise_times_its_envelope_if_the_filter_is_bypassed():
    given = random_parameters(12) | {"filter_enabled": np.zeros(12)}
    out = TWO_OSCILLATORS.render(given, FS, 2000)
    for v in range(12):
        one = {name: values[v] for name, values in given.items()}
        notes = one["note_number"], one["note_number"] + one["osc2_interval"]
        shapes = SHAPES[int(one["osc1_shape"])], SHAPES[int(one["osc2_shape"])]
        first, second = (
            wave(shape, np.array([note_to_hz(note)]), FS, 2000)[0][:, 0].astype(float)
            for shape, note in zip(shapes, notes, strict=True)
        )
        x = (1 - one["osc_mix"]) * first + one["osc_mix"] * second + one["noise_level"] * noise(2000)
        times = [given[f"amp_{stage}"][v : v + 1] * FS for stage in ("attack", "decay", "release")]
        level = adsr(times[0], times[1], given["amp_sustain"][v : v + 1], times[2], 2000)[:, 0]
        np.testing.assert_allclose(out[:, v], x * level * one["note_velocity"] / 127, rtol=0, atol=1e-6)


def test_the_twin_renders_the_same_sounds():
    given = random_parameters(100)
    expected = TWO_OSCILLATORS.render(given, FS, 2000)
    np.testing.assert_allclose(TWO_OSCILLATORS.differentiable(tensors(given), FS, 2000).T, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("at_edge", [0.0, 0.3])
def test_gradients_are_finite(at_edge):
    given = tensors(random_parameters(200, seed=1, at_edge=at_edge))
    learned = {spec.name: given[spec.name].requires_grad_() for spec in CONTINUOUS}
    audio = TWO_OSCILLATORS.differentiable(given, FS, 2000)
    gradients = torch.autograd.grad(audio.square().mean(), list(learned.values()))
    for name, gradient in zip(learned, gradients, strict=True):
        assert gradient.isfinite().all() and gradient.any(), name


@pytest.mark.parametrize("name", ["note_number", "osc2_interval", "osc_mix", "noise_level", "amp_sustain", "amp_decay"])
def test_gradients_match_finite_differences(name):
    times = {"amp_attack": 0.0051, "amp_decay": 0.0043, "amp_release": 0.0061, "filter_env_release": 0.0021}
    given = {spec.name: np.full(4, times.get(spec.name, spec.default)) for spec in TWO_OSCILLATORS.parameters}
    shapes = np.arange(4.0)
    given |= {"osc1_shape": shapes, "osc2_shape": 3 - shapes, "filter_env_amount": shapes, "filter_env_attack": shapes}
    values = torch.from_numpy(given[name]).requires_grad_()

    def render(one):
        return TWO_OSCILLATORS.differentiable({**tensors(given), name: one}, FS, 150, dtype=torch.float64)

    gradcheck(render, (values,), eps=1e-7, rtol=1e-3, atol=1e-4, check_forward_ad=True, fast_mode=True)


def test_a_wrong_drive_is_told():
    for render in (TWO_OSCILLATORS.render, TWO_OSCILLATORS.differentiable):
        with pytest.raises(UserError, match=r"^synth\.settings\.drive: -1 given"):
            render({}, FS, 10, drive=-1)
