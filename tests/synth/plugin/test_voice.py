"""Real plug-ins of Debian as voices; without them, or without DawDreamer, these tests are skipped."""

import importlib.util
import json
import struct
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from src.data.generate import generate
from src.data.info import read_spec
from src.data.origin import source_of
from src.data.recipe import parse_recipe
from src.synth.config import SynthConfig, load_synth
from src.synth.plugin import voice as module
from src.synth.plugin.host import LostClip
from src.synth.plugin.voice import make_voice
from src.utils.errors import UserError
from tests.data.conftest import tiny_recipe
from tests.synth.outside import NEKOBI

DX10 = "http://drobilla.net/plugins/mda/DX10"  # package mda-lv2
_HAS_DAWDREAMER = importlib.util.find_spec("dawdreamer") is not None
needs_nekobi = pytest.mark.skipif(not (_HAS_DAWDREAMER and Path(NEKOBI).exists()), reason="Nekobi is not installed")
needs_dx10 = pytest.mark.skipif(
    not (_HAS_DAWDREAMER and Path("/usr/lib/lv2/mda.lv2").exists()), reason="mda-lv2 is not installed"
)
FS = 22050
PLUGINS = [pytest.param(NEKOBI, marks=needs_nekobi), pytest.param(DX10, marks=needs_dx10)]


def drawn(voice, count):
    random = np.random.default_rng(0)
    values = {}
    for spec in voice.parameters:
        free = random.integers(0, len(spec.values), count) if spec.values else random.uniform(spec.min, spec.max, count)
        values[spec.name] = np.full(count, spec.default) if spec.name in voice.played else free.astype(float)
    return values


@needs_nekobi
def test_parameters_have_the_ranges_that_the_plug_in_shows():
    specs = {spec.name: spec for spec in make_voice(NEKOBI).parameters}
    assert specs["Waveform"].values == ("Square", "Triangle")
    assert (specs["Tuning"].min, specs["Tuning"].max) == (-12, 12)
    assert (specs["VCF_Resonance"].max, specs["VCF_Resonance"].unit) == (95, "%")
    assert make_voice(NEKOBI).played == {"note_number", "note_velocity"}


@pytest.mark.parametrize("source", PLUGINS)
def test_a_clip_of_a_new_instance_depends_on_its_parameters_alone(source):
    voice = make_voice(source)
    given = drawn(voice, 6)
    together = voice.render(given, FS, 4000)
    backwards = voice.render({name: values[::-1] for name, values in given.items()}, FS, 4000)
    np.testing.assert_array_equal(together, backwards[:, ::-1])
    assert together.any() and voice.render(given, FS, 4000, reuse=True).shape == together.shape


@pytest.mark.skipif(not _HAS_DAWDREAMER, reason="dawdreamer is not installed")
def test_the_defaults_are_those_of_the_preset(monkeypatch, tmp_path):
    (tmp_path / "mine.so").touch()

    class Described:
        def __init__(self, source, preset, sample_rate):
            self.value = 0.75 if preset else 0.25

        def describe(self):
            texts = [f"{at / 100}" for at in range(101)]
            return [{"index": 0, "name": "Cutoff", "unit": "", "value": self.value, "texts": texts}]

        def close(self):
            pass

    monkeypatch.setattr(module, "Host", Described)
    source, preset = str(tmp_path / "mine.so"), tmp_path / "bass.fxp"
    preset.touch()
    assert make_voice(source).spec("Cutoff").default == 0.25
    assert make_voice(source, str(preset)).spec("Cutoff").default == 0.75
    for wrong in (5, ["a"], "/nope.fxp"):
        with pytest.raises(UserError, match=r"^synth\.settings\.preset: .* given; give the path"):
            make_voice(source, wrong)


def fxp(values):
    """Return a preset of a VST2 plug-in, big-endian: a header, the number of parameters, a name, their values."""
    described = struct.pack(">4si4si", b"FxCk", 1, b"Nekb", 1) + struct.pack(">i28s", len(values), b"bass")
    body = described + struct.pack(f">{len(values)}f", *values)
    return b"CcnK" + struct.pack(">i", len(body)) + body


@needs_nekobi
def test_a_preset_file_gives_a_real_plug_in_its_defaults_and_its_sound(tmp_path):
    preset = tmp_path / "bass.fxp"
    preset.write_bytes(fxp([0.0, 0.5, 0.2, 0.4, 0.6, 0.6, 0.7, 0.8]))
    voice = make_voice(NEKOBI, str(preset))
    found = {spec.name: spec.default for spec in voice.parameters}
    expected = {"Tuning": 0, "Cutoff": 20, "VCF_Resonance": 38, "Env_Mod": 60, "Decay": 60, "Accent": 70, "Volume": 80}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert found["Waveform"] == 0
    defaults = {name: np.array([value]) for name, value in found.items()}
    by_preset = voice.render(defaults, FS, 4000, preset=str(preset))
    np.testing.assert_allclose(by_preset, make_voice(NEKOBI).render(defaults, FS, 4000), atol=1e-4)
    assert by_preset.any()
    other = tmp_path / "other.fxp"
    other.write_bytes(b"no preset")
    with pytest.raises(
        UserError, match=r"^synth\.settings\.preset: .*other\.fxp: the plug-in does not take this preset$"
    ):
        make_voice(NEKOBI, str(other))


@needs_nekobi
def test_the_pitch_is_the_notes():
    voice = make_voice(NEKOBI)
    given = {spec.name: np.array([spec.default]) for spec in voice.parameters} | {"Cutoff": np.array([100.0])}
    clip = voice.render(given | {"note_number": np.array([69.0])}, FS, FS)[:, 0]
    spectrum = np.abs(np.fft.rfft(clip[: FS // 2] * np.hanning(FS // 2)))
    assert abs(np.argmax(spectrum) * 2 - 220) <= 4  # it is a bass, an octave below


@needs_nekobi
def test_a_reused_instance_is_no_function_of_its_parameters_and_the_dataset_says_so(tmp_path, caplog):
    plain = tiny_recipe(**{"dataset.size": 64}).model_dump(mode="json")
    knobs = {"auto": True, "note_velocity": {"value": 80}}
    plain["synth"] |= {"name": "nekobi", "voice": "plugin", "source": NEKOBI, "parameters": knobs, "duration": 0.25}
    plain["synth"]["settings"] = {"reuse": True}
    directory, _ = generate(parse_recipe(plain), tmp_path, allow_blind=True)
    assert any("Nekobi-vst is not a function of its parameters" in line.getMessage() for line in caplog.records)
    held = json.loads((directory / "vimh_dataset_info.json").read_text())["generator"]
    assert held["noise_floor_db"] < 0 and "Nekobi-vst.so sha256" in held["config"]["synth"]["engine"]
    with pytest.raises(UserError, match=r"give trust=\[plugin\]"):
        source_of(read_spec(directory))
    assert source_of(read_spec(directory), ["plugin"]).synth.voice.name == "Nekobi-vst"


@needs_nekobi
def test_a_lost_clip_is_silent_and_named_and_many_end_the_run(monkeypatch, caplog):
    voice = make_voice(NEKOBI)

    class Crashing:
        def render(self, values, note, reuse):
            raise LostClip("its process ended with status -11")

    monkeypatch.setattr(module, "_host", lambda *key: nullcontext(Crashing()))
    monkeypatch.setattr(module, "_lost", [])
    given = drawn(voice, 3)
    assert not voice.render(given, FS, 100).any()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3 and f"'Cutoff': {given['Cutoff'][0]}" in lines[0]
    with pytest.raises(UserError, match="11 clips are lost; the last because its process ended with status -11"):
        voice.render(drawn(voice, 20), FS, 100)


def test_a_process_is_lent_again_but_not_after_an_interruption(monkeypatch):
    closed = []
    monkeypatch.setattr(module, "Host", lambda *key: SimpleNamespace(close=lambda: closed.append(key)))
    monkeypatch.setattr(module, "_idle", {})
    with module._host("a", None, 8000) as first:
        pass
    with pytest.raises(KeyboardInterrupt), module._host("a", None, 8000) as again:
        assert again is first and not closed
        raise KeyboardInterrupt
    with module._host("a", None, 8000) as other:
        assert other is not first and len(closed) == 1


@pytest.mark.skipif(not _HAS_DAWDREAMER, reason="dawdreamer is not installed")
def test_what_cannot_be_loaded_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"/nope\.so does not exist; give the path of a VST plug-in"):
        make_voice("/nope.so")
    text = tmp_path / "text.so"
    text.write_text("no plug-in")
    for source in (str(text), "http://example.org/no-such-plug-in"):
        with pytest.raises(UserError, match=r"^synth\.source: "):
            make_voice(source)


@needs_nekobi
def test_a_preset_in_the_wrong_place_is_told_its_place():
    plain = tiny_recipe().model_dump(mode="json")["synth"] | {"settings": {}, "parameters": {"auto": True}}
    plain |= {"voice": "plugin", "source": NEKOBI, "preset": "bass.fxp"}
    with pytest.raises(UserError, match=r"It has none; give synth\.settings\.preset\.$"):
        load_synth(SynthConfig.model_validate(plain))
