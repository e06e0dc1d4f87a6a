"""The voice of two oscillators against its parts, and its twin against it."""

import numpy as np
import pytest
import torch
from scipy.signal import hilbert
from torch.autograd import gradcheck

from src.synth.config import SynthConfig, load_synth
from src.synth.envelopes import adsr
from src.synth.oscillators import SHAPES, noise, wave
from src.synth.saw_moog import note_to_hz
from src.synth.two_oscillators import TWO_OSCILLATORS
from src.utils.errors import UserError
from tests.synth.references import adsr_interp, ladder_loop

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


def defaults(count, **given):
    return {spec.name: np.full(count, given.get(spec.name, spec.default), float) for spec in TWO_OSCILLATORS.parameters}


def tensors(parameters):
    return {name: torch.from_numpy(values) for name, values in parameters.items()}


def test_it_is_its_oscillators_and_noise_times_its_envelope_if_the_filter_is_bypassed():
    given = random_parameters(12) | {"filter_enabled": np.zeros(12), "lfo_pitch_depth": np.zeros(12)}
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


def test_the_lfo_moves_both_pitches():
    given = defaults(2, filter_enabled=0, osc_mix=np.array([0, 1]), lfo_rate=2, lfo_pitch_depth=7)
    given |= {"osc1_shape": np.zeros(2), "osc2_shape": np.zeros(2), "osc2_interval": np.full(2, 12.0)}
    cycles = np.unwrap(np.angle(hilbert(TWO_OSCILLATORS.render(given, FS, FS), axis=0)), axis=0) / (2 * np.pi)
    found = 12 * np.log2(np.diff(cycles, axis=0)[1000:7000] * FS / (note_to_hz(43.35) * np.array([1, 2])))
    expected = 7 * np.sin(2 * np.pi * 2 * np.arange(FS) / FS)[1000:7000, None]
    assert np.abs(found - expected).mean() < 0.1


def test_the_lfo_moves_the_cutoff():
    given = defaults(1, filter_cutoff=500, lfo_rate=3, lfo_cutoff_depth=2, filter_env_amount=1, filter_env_sustain=0.5)
    given |= {f"amp_{stage}": np.zeros(1) for stage in ("attack", "decay", "release")}
    x = wave("saw", np.array([note_to_hz(43.35)]), FS, 1000)[0][:, 0] / 2
    x = x + wave("square", np.array([note_to_hz(43.45)]), FS, 1000)[0][:, 0] / 2
    octaves = adsr_interp(0, 0.1 * FS, 0.5, 0, 1000) + 2 * np.sin(2 * np.pi * 3 * np.arange(1000) / FS)
    expected = ladder_loop(x, 500 * 2**octaves, 0, FS, 0.5) * given["amp_sustain"] * 100 / 127
    np.testing.assert_allclose(TWO_OSCILLATORS.render(given, FS, 1000)[2:, 0], expected[2:], rtol=0, atol=1e-3)


def test_an_lfo_without_depth_is_inaudible_beside_others_that_have_one():
    given = random_parameters(16) | {"lfo_pitch_depth": np.zeros(16), "lfo_cutoff_depth": np.zeros(16)}
    expected = TWO_OSCILLATORS.render(given, FS, 500)
    for depth in ("lfo_pitch_depth", "lfo_cutoff_depth"):
        moved = TWO_OSCILLATORS.render(given | {depth: np.arange(16) % 2 * 3.0}, FS, 500)
        np.testing.assert_array_equal(moved[:, ::2], expected[:, ::2])


@pytest.mark.parametrize("preset", TWO_OSCILLATORS.presets)
def test_presets_sound_and_differ_from_the_defaults(preset):
    config = {"name": "t", "voice": "src.synth.two_oscillators.TWO_OSCILLATORS", "sample_rate": FS, "duration": 0.5}
    note = {"note_number": {"min": 36, "step": 1, "max": 60}}
    plain, chosen = (load_synth(SynthConfig(**config, parameters=note, preset=name)) for name in (None, preset))
    values = np.array([[36.0], [60.0]])
    x = chosen.render(values)
    assert np.abs(x).max() > 0.05 and np.abs(x - plain.render(values)).max() > 0.05


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


@pytest.mark.parametrize(
    "name",
    [
        *("note_number", "osc2_interval", "osc_mix", "noise_level", "amp_sustain", "amp_decay"),
        *("lfo_rate", "lfo_pitch_depth", "lfo_cutoff_depth"),
    ],
)
def test_gradients_match_finite_differences(name):
    times = {"amp_attack": 0.0051, "amp_decay": 0.0043, "amp_release": 0.0061, "filter_env_release": 0.0021}
    given = {spec.name: np.full(4, times.get(spec.name, spec.default)) for spec in TWO_OSCILLATORS.parameters}
    shapes = np.arange(4.0)
    given |= {"osc1_shape": shapes, "osc2_shape": 3 - shapes, "filter_env_amount": shapes, "filter_env_attack": shapes}
    if name.startswith("lfo_"):
        given |= {"lfo_rate": 20 + shapes, "lfo_pitch_depth": 3 - shapes / 2, "lfo_cutoff_depth": 1 + shapes / 2}
    values = torch.from_numpy(given[name]).requires_grad_()

    def render(one):
        return TWO_OSCILLATORS.differentiable({**tensors(given), name: one}, FS, 150, dtype=torch.float64)

    gradcheck(render, (values,), eps=1e-7, rtol=1e-3, atol=1e-4, check_forward_ad=True, fast_mode=True)


def test_a_wrong_drive_is_told():
    for render in (TWO_OSCILLATORS.render, TWO_OSCILLATORS.differentiable):
        with pytest.raises(UserError, match=r"^synth\.settings\.drive: -1 given"):
            render({}, FS, 10, drive=-1)
