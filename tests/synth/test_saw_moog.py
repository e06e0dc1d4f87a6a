"""The whole voice against a float64 chain, and what its parameters may and may not change."""

import numpy as np
import pytest

from src.synth.saw_moog import SAW_MOOG, SAW_MOOG_LOG, note_to_hz, render
from src.utils.errors import UserError
from tests.synth.references import adsr_interp, ladder_loop, saw_series

FS = 8000
DEFAULTS = {spec.name: spec.default for spec in SAW_MOOG.parameters}


def voices(**given):
    """Return all parameters as (V,), the defaults filled in."""
    num_voices = max([np.size(value) for value in given.values()], default=1)
    return {name: np.full(num_voices, value, float) for name, value in {**DEFAULTS, **given}.items()}


def random_voices(num_voices, seed=0):
    rng = np.random.default_rng(seed)
    return voices(
        note_number=rng.uniform(24, 100, num_voices),
        note_velocity=rng.uniform(1, 127, num_voices),
        log10_decay_time=rng.uniform(-3, 1, num_voices),
        filter_enabled=rng.integers(0, 2, num_voices),
        filter_cutoff=rng.uniform(20, 6000, num_voices),
        filter_resonance=rng.uniform(0, 1, num_voices),
        filter_env_attack=rng.uniform(0, 0.1, num_voices),
        filter_env_decay=rng.uniform(0, 0.1, num_voices),
        filter_env_sustain=rng.uniform(0, 1, num_voices),
        filter_env_release=rng.uniform(0, 0.1, num_voices),
        filter_env_amount=np.where(rng.random(num_voices) < 0.5, 0.0, rng.uniform(-8, 8, num_voices)),
    )


def pick(parameters, chosen):
    return {name: column[chosen] for name, column in parameters.items()}


def test_note_to_hz_matches_equal_temperament():
    np.testing.assert_allclose(note_to_hz([69, 57, 81, 60]), [440, 220, 880, 261.6255653])
    assert note_to_hz(43.35) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize(
    "given",
    [
        {"note_velocity": 64, "log10_decay_time": -1.5, "filter_enabled": 0},
        {"note_number": 57, "filter_cutoff": 600, "filter_resonance": 0.9, "log10_decay_time": -0.3},
        {
            "note_number": 36,
            "filter_cutoff": 80,
            "filter_resonance": 0.85,
            "filter_env_amount": 4,
            "filter_env_attack": 0.02,
            "filter_env_decay": 0.05,
            "filter_env_sustain": 0.3,
            "filter_env_release": 0.03,
        },
    ],
)
@pytest.mark.parametrize("drive", [0.0, 0.5])
def test_voice_matches_float64_chain(given, drive):
    num_samples = 1000
    p = {**DEFAULTS, **given}
    x = saw_series(note_to_hz(p["note_number"]), FS, num_samples)
    if p["filter_enabled"]:
        times = [p[f"filter_env_{stage}"] * FS for stage in ("attack", "decay", "release")]
        envelope = adsr_interp(times[0], times[1], p["filter_env_sustain"], times[2], num_samples)
        cutoff = p["filter_cutoff"] * 2 ** (p["filter_env_amount"] * envelope)
        x = ladder_loop(x, cutoff, p["filter_resonance"], FS, drive)
    level = p["note_velocity"] / 127 * np.exp(-np.arange(num_samples) / FS / 10 ** p["log10_decay_time"])
    rendered = render(voices(**given), FS, num_samples, drive=drive)[:, 0]
    np.testing.assert_allclose(rendered, level * x, rtol=0, atol=3e-3)  # the wavetable's interpolation


@pytest.mark.parametrize("oscillator", ["bandlimited", "naive"])
def test_rendering_is_bit_identical_wherever_a_voice_stands(oscillator):
    p = random_voices(77)
    together = render(p, FS, 700, oscillator=oscillator)
    assert np.isfinite(together).all() and together.dtype == np.float32
    for v in range(77):
        alone = render(pick(p, slice(v, v + 1)), FS, 700, oscillator=oscillator)
        np.testing.assert_array_equal(alone[:, 0], together[:, v])
    for block in (slice(0, 64), slice(3, 20), slice(64, 77), np.random.default_rng(1).permutation(77)):
        np.testing.assert_array_equal(render(pick(p, block), FS, 700, oscillator=oscillator), together[:, block])


def test_a_shorter_clip_is_the_beginning_of_a_longer_one():
    p = voices(note_number=[40, 60], filter_cutoff=[300, 3000], filter_resonance=0.8)
    np.testing.assert_array_equal(render(p, FS, 400), render(p, FS, 900)[:400])


def test_velocity_only_scales():
    x = render(voices(note_velocity=[127, 64, 1, 0], filter_resonance=0.9), FS, 2000, drive=2.0)
    np.testing.assert_allclose(x, x[:, :1] * (np.array([127, 64, 1, 0]) / 127), rtol=1e-6, atol=1e-9)
    assert np.all(x[:, 3] == 0)


def test_decay_only_scales():
    log10_decay_time = np.array([-2, -1, 0.3, 2])
    x = render(voices(log10_decay_time=log10_decay_time, filter_resonance=0.9), FS, 2000, drive=2.0).astype(float)
    seconds = np.arange(2000)[:, None] / FS
    undecayed = x[:, 3:] * np.exp(seconds / 100)
    np.testing.assert_allclose(x, undecayed * np.exp(-seconds / 10.0**log10_decay_time), rtol=1e-5, atol=1e-9)


def test_disabled_filter_is_bypassed():
    """Neither a neighbour's filter nor its own settings reach a voice whose filter is off."""
    mixed = voices(filter_enabled=[0, 1, 0], filter_cutoff=[50, 50, 3000], filter_resonance=[1, 1, 0])
    mixed = {**mixed, "filter_env_amount": np.array([8.0, 4.0, -8.0])}
    x = render(mixed, FS, 800)
    expected = render(voices(filter_enabled=0), FS, 800)
    np.testing.assert_array_equal(x[:, 0], expected[:, 0])
    np.testing.assert_array_equal(x[:, 2], expected[:, 0])
    assert not np.allclose(x[:, 1], expected[:, 0], atol=0.1)


def test_naive_oscillator_matches_the_ancestors_saw():
    x = render(voices(note_number=69, note_velocity=127, log10_decay_time=-1, filter_enabled=0), FS, 800, "naive")
    t = np.arange(800) / FS
    np.testing.assert_allclose(x[:, 0], (2 * (440 * t % 1) - 1) * np.exp(-t / 0.1), atol=1e-6)


def test_envelope_amount_0_makes_the_envelope_inaudible():
    moved = {"filter_env_attack": [0, 0.05], "filter_env_sustain": [1, 0.2], "filter_env_release": [0, 0.05]}
    x = render(voices(**{key: np.array(value) for key, value in moved.items()}), FS, 1000)
    np.testing.assert_array_equal(x[:, 0], x[:, 1])


def test_every_corner_of_the_allowed_ranges_renders_finite_samples():
    rng = np.random.default_rng(0)
    corners = [rng.choice([spec.min, spec.max], 300) for spec in SAW_MOOG.parameters]
    p = {spec.name: column for spec, column in zip(SAW_MOOG.parameters, corners, strict=True)}
    for sample_rate in (1000, 8000, 192_000):
        for oscillator in ("bandlimited", "naive"):
            x = render(p, sample_rate, 1000, oscillator)
            assert np.isfinite(x).all() and np.abs(x).max() < 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"oscillator": "naiv"}, "^synth.settings.oscillator: 'naiv' given; give one of bandlimited, naive$"),
        ({"drive": -1.0}, "^synth.settings.drive: -1.0 given; give a number of at least 0"),
        ({"drive": "loud"}, "^synth.settings.drive: 'loud' given; give a number of at least 0"),
    ],
)
def test_bad_setting_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        render(voices(), FS, 10, **settings)


def test_the_log_scaled_twin_renders_the_same_sound():
    given = random_voices(8)
    twin = {name: column for name, column in given.items() if name != "log10_decay_time"}
    twin["decay_time"] = 10.0 ** given["log10_decay_time"]
    assert set(twin) == {spec.name for spec in SAW_MOOG_LOG.parameters}
    np.testing.assert_allclose(SAW_MOOG_LOG.render(twin, FS, 2000), render(given, FS, 2000), atol=1e-6)
    assert [spec.name for spec in SAW_MOOG_LOG.parameters if spec.scale == "log"] == ["decay_time", "filter_cutoff"]
