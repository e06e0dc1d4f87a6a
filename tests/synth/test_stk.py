"""STK's instruments: the same clips in any order and company, in tune, released, and named as in the package."""

import importlib.util
import sys

import numpy as np
import pytest

from src.synth.config import SynthConfig, load_synth
from src.synth.sources import make_voice, require_source
from src.synth.stk import STK_INSTRUMENTS
from src.utils.errors import UnavailableError, UserError

SAMPLE_RATE = 22050
pytestmark = pytest.mark.skipif(not importlib.util.find_spec("synthesistoolkit"), reason="needs the extra stk")


@pytest.mark.parametrize("source", STK_INSTRUMENTS)
def test_a_clip_is_a_function_of_its_parameters(source: str) -> None:
    voice = make_voice("stk", source, {})
    middle = {spec.name: np.array([spec.default, spec.default]) for spec in voice.parameters}
    middle["note_number"] = np.array([60.0, 67.0])
    both = voice.render(middle, SAMPLE_RATE, 4410)
    for clip in (1, 0):
        alone = voice.render({name: column[[clip]] for name, column in middle.items()}, SAMPLE_RATE, 4410)
        assert np.array_equal(alone[:, 0], both[:, clip])
    assert np.isfinite(both).all()
    assert np.abs(both).max(axis=0).min() > 1e-3
    assert not np.array_equal(both[:, 0], both[:, 1])


@pytest.mark.parametrize(("source", "note"), [("Plucked", 57), ("Rhodey", 60), ("Sitar", 52)])
def test_the_pitch_is_that_of_the_note(source: str, note: int) -> None:
    voice = make_voice("stk", source, {})
    given = {spec.name: np.array([spec.default]) for spec in voice.parameters} | {
        "note_number": np.array([float(note)])
    }
    sound = voice.render(given, SAMPLE_RATE, SAMPLE_RATE, note_off=1.0)[:, 0]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 8 * len(sound)))
    hz = np.fft.rfftfreq(8 * len(sound), 1 / SAMPLE_RATE)
    expected = 440.0 * 2.0 ** ((note - 69) / 12)
    near = (hz > 0.9 * expected) & (hz < 1.1 * expected)
    found = hz[near][spectrum[near].argmax()]
    assert 1200 * abs(np.log2(found / expected)) < 25  # cents: the strings' delays are whole numbers in part


def test_the_release_silences_the_note() -> None:
    voice = make_voice("stk", "Clarinet", {})
    given = {spec.name: np.array([spec.default]) for spec in voice.parameters}
    early, late = (voice.render(given, SAMPLE_RATE, 11025, note_off=share)[:, 0] for share in (0.2, 1.0))
    assert np.array_equal(early[:2205], late[:2205])
    assert np.square(early[-1000:]).mean() < 1e-3 * np.square(late[-1000:]).mean()


def test_presets_are_categories_and_what_the_note_sets_is_no_parameter() -> None:
    bars = {spec.name: spec for spec in make_voice("stk", "ModalBar", {}).parameters}
    assert bars["modal_preset"].values[:2] == ("marimba", "vibraphone")
    assert "volume" not in bars
    config = SynthConfig(
        name="wind", voice="stk", source="Clarinet", sample_rate=SAMPLE_RATE, duration=0.5, parameters={"auto": True}
    )
    assert set(load_synth(config).space.names) == {"noise_gain", "reed_stiffness", "vibrato_frequency", "vibrato_gain"}


def test_any_file_may_name_an_instrument_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    require_source("stk", "Clarinet", [])
    with pytest.raises(UserError, match="Did you mean 'Clarinet'") as error:
        make_voice("stk", "clarinet", {})
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="such as Clarinet"):
        make_voice("stk", None, {})
    monkeypatch.setitem(sys.modules, "synthesistoolkit", None)
    with pytest.raises(UnavailableError, match=r"uv pip install -e '\.\[stk\]'"):
        make_voice("stk", "Clarinet", {})
