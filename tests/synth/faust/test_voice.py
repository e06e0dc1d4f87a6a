"""Faust programs as voices: their parameters, their sounds against the native voice, and how they are played."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from src.data.generate import generate
from src.data.info import read_spec
from src.data.origin import source_of
from src.data.recipe import parse_recipe
from src.data.shards import make_shard, merge_shards
from src.data.vimh_datamodule import VIMHDataModule
from src.synth.config import SynthConfig, load_synth
from src.synth.faust import native
from src.synth.faust.voice import make_voice, versions
from src.synth.saw_moog import SAW_MOOG
from src.utils.errors import UserError
from tests import running
from tests.data.conftest import tiny_recipe
from tests.synth.faust.programs import CONTROLS, SAW_LADDER, needs_faust

pytestmark = needs_faust
ENGINES = ["dawdreamer", pytest.param("c", marks=pytest.mark.skipif(not native.find_compiler(), reason="no compiler"))]
FS = 8000
SINE = 'import("stdfaust.lib"); process = os.osc(hslider("f", 100, 50, 2000, 1)) * 0.5;'


def drawn(voice, count, seed=0, **given):
    """Return random parameters, those of the note at their defaults."""
    random = np.random.default_rng(seed)
    values = {}
    for spec in voice.parameters:
        values[spec.name] = np.full(count, spec.default) if spec.name in voice.played else None
        if values[spec.name] is None:
            values[spec.name] = random.uniform(spec.min, spec.max, count)
    return values | {name: np.full(count, value) for name, value in given.items()}


def test_parameters_follow_from_the_controls():
    specs = {spec.name: spec for spec in make_voice(CONTROLS).parameters}
    assert set(specs) == {"My_group_x_c_d_e_f", "other_c_d_e_f", "wave", "count", "bend", "mute"}
    first = specs["My_group_x_c_d_e_f"]
    assert (first.min, first.max, first.unit, first.scale, first.default) == (20, 2000, "Hz", "log", 100)
    assert first.description == "say hi (a), b" and first.num_classes <= 64
    assert specs["wave"].values == ("saw", "square wave") and specs["mute"].values == ("off", "on")
    assert (specs["count"].kind, specs["count"].step) == ("ordinal", 2)
    assert specs["other_c_d_e_f"].num_classes == 64
    assert make_voice(CONTROLS).played == {"bend"}


def test_the_note_of_a_library_model_is_played():
    voice = make_voice("pm.ks_ui_MIDI")
    assert {"note_number", "note_velocity"} <= voice.played and voice.name == "pm.ks_ui_MIDI"
    note = voice.spec("note_number")
    np.testing.assert_allclose(440 * 2 ** ((np.array([note.min, note.max]) - 69) / 12), [50, 1000], rtol=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_saw_through_a_ladder_is_the_native_voice_to_minus_90_db(engine):
    """Two programs of the same filter in different languages: neither can be wrong alone."""
    voice, count = make_voice(SAW_LADDER), 64
    note = 69 + 12 * np.log2(125 / 440)  # a period of 64 samples, so that no rounding moves the saw's jumps
    given = drawn(voice, count, note_number=note, note_velocity=100)
    given["cutoff"] = np.random.default_rng(1).uniform(100, 3000, count)
    given["resonance"] *= 0.95
    same = {spec.name: np.full(count, spec.default) for spec in SAW_MOOG.parameters}
    same |= {"note_number": given["note_number"], "note_velocity": given["note_velocity"]}
    same |= {"filter_cutoff": given["cutoff"], "filter_resonance": given["resonance"]}
    same["log10_decay_time"] = np.log10(given["decay"])
    expected = SAW_MOOG.render(same, FS, FS, oscillator="naive", drive=0.0).astype(float)
    found = voice.render(given, FS, FS, engine=engine)
    ratio = np.square(found - expected).sum(axis=0) / np.square(expected).sum(axis=0)
    assert 10 * np.log10(ratio.max()) < -90  # -110 in C; DawDreamer joins products and sums


@pytest.mark.parametrize("engine", ENGINES)
def test_a_clip_depends_on_its_parameters_alone(engine):
    voice = make_voice("pm.ks_ui_MIDI")
    given = drawn(voice, 20)
    together = voice.render(given, FS, 2000, engine=engine)
    backwards = voice.render({name: values[::-1] for name, values in given.items()}, FS, 2000, engine=engine)
    np.testing.assert_array_equal(together, backwards[:, ::-1])
    alone = voice.render({name: values[7:8] for name, values in given.items()}, FS, 2000, engine=engine)
    np.testing.assert_array_equal(together[:, 7], alone[:, 0])
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: voice.render(given, FS, 2000, engine=engine), range(8)):
            np.testing.assert_array_equal(found, together)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_gate_closes_at_a_multiple_of_64_samples_and_channels_are_averaged(engine):
    voice = make_voice('gate = button("gate"); a = hslider("a", 0, 0, 1, 0.1); process = gate, gate * a;')
    out = voice.render({"a": np.array([0.0, 1.0])}, FS, 1000, engine=engine, note_off=0.5)
    expected = np.where(np.arange(1000) < 512, 1.0, 0.0)
    np.testing.assert_array_equal(out, np.stack([0.5 * expected, expected], axis=1))
    whole = voice.render({"a": np.array([1.0])}, FS, 1000, engine=engine, note_off=1.0)
    assert (whole == 1).all()


TABLE = """
write = hslider("write", 0, 0, 1, 1);
counter = (+(1) ~ _) - 1;
process = rwtable(8000, 0.0, int(counter), write * 0.5, int((counter + 4000) % 8000));
"""


@pytest.mark.skipif(not native.find_compiler(), reason="no compiler")
def test_a_table_that_a_clip_writes_is_empty_for_the_next():
    voice = make_voice(TABLE)
    loud = voice.render({"write": np.array([1.0])}, FS, 8000, engine="c")
    assert loud[-2000:].any() and not voice.render({"write": np.array([0.0])}, FS, 8000, engine="c").any()
    both = voice.render({"write": np.array([1.0, 0.0])}, FS, 8000, engine="c")
    np.testing.assert_array_equal(both[:, :1], loud)
    assert not both[:, 1].any()
    with pytest.raises(UserError, match="writes a table, which DawDreamer does not clear"):
        voice.render({"write": np.array([1.0])}, FS, 100, engine="dawdreamer")


@pytest.mark.parametrize("engine", ENGINES)
def test_labels_of_any_kind_are_found_and_names_differ(engine):
    labels = ["a b", "Dry+Wet", "50%", "note_number", "x-y!", "+", "-", "#1"]
    sliders = "+".join(f'hslider("{label}", 0, 0, 1, 0.1)' for label in labels)
    voice = make_voice(f'process = vgroup("my (group) a.b", {sliders});')
    names = [spec.name for spec in voice.parameters]
    assert len(set(names)) == len(labels) and all(names) and "note_number" not in names
    given = {name: np.zeros(len(names)) for name in names}
    for at, name in enumerate(names):
        given[name][at] = 0.1 * (at + 1)
    np.testing.assert_allclose(voice.render(given, FS, 100, engine=engine)[0], 0.1 * np.arange(1, 9), rtol=1e-6)


def test_a_label_that_dawdreamer_cannot_read_is_one_line():
    voice = make_voice('process = hslider("Höhe", 0, 0, 1, 0.1);')
    with pytest.raises(UserError, match="DawDreamer has no control /dawdreamer/Höhe; use letters"):
        voice.render({"Höhe": np.zeros(1)}, FS, 100, engine="dawdreamer")


@pytest.mark.parametrize("engine", ENGINES)
def test_all_controls_of_a_note_are_played(engine):
    part = 'hslider("freq", 100, 50, 1000, 0.1) * button("gate") * hslider("gain", 1, 0, 1, 0.1)'
    voice = make_voice(f'process = hgroup("one", {part}), hgroup("two", {part});')
    assert [spec.name for spec in voice.parameters] == ["note_number", "note_velocity"]
    out = voice.render({"note_number": np.array([69.0]), "note_velocity": np.array([127.0])}, FS, 640, engine=engine)
    np.testing.assert_allclose(out[0], [440.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('process = hslider("freq", 0.5, 0, 1, 0.1);', "control 'freq'"),
        ("process = nentry(\"m[style:menu{'a':0;'a':1}]\", 0, 0, 1, 1);", r"control 'm'"),
        ('process = hslider("a", 5, 0, 1, 0.1);', r"init = 5 outside of \[0 1\] range"),
        ('process = hslider("a b", 0, 0, 1, 1) + hslider("a_b", 0, 0, 1, 1);', "2 controls are called /dawdreamer/a_b"),
    ],
)
def test_a_control_that_no_parameter_can_be_is_one_line(source, message):
    with pytest.raises(UserError, match=rf"^synth\.source: .*{message}"):
        make_voice(source)


@pytest.mark.parametrize("engine", ENGINES)
def test_sample_rates_do_not_mix(engine):
    """Tables and constants belong to one rate, and both may be used in turn."""
    voice = make_voice('import("stdfaust.lib"); process = os.osc(hslider("f", 100, 50, 200, 1));')
    given = {"f": np.array([100.0])}
    for rate in (8000, 16000, 8000):
        expected = np.sin(2 * np.pi * 100 / rate * np.arange(800))
        np.testing.assert_allclose(voice.render(given, rate, 800, engine=engine)[:, 0], expected, atol=2e-3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("process = _;", "synth.source: inputs: 1, outputs: 1; give"),
        ("process = 1 : !;", "has it an output"),
        ("process = 1;", "nothing to learn"),
    ],
)
def test_what_no_voice_can_be_is_refused(source, message):
    with pytest.raises(UserError, match=message):
        make_voice(source)


@pytest.mark.parametrize(
    ("setting", "value"), [("note_off", 0), ("note_off", 1.5), ("note_off", True), ("engine", "x")]
)
def test_a_wrong_setting_is_named(setting, value):
    voice = make_voice('process = button("gate") * hslider("a", 0, 0, 1, 0.1);')
    with pytest.raises(UserError, match=rf"^synth\.settings\.{setting}: {value!r} given; give"):
        voice.render({"a": np.zeros(1)}, FS, 100, **{setting: value})


def test_versions_name_all_that_computes_a_sound():
    assert versions({"engine": "dawdreamer"}).startswith("dawdreamer ")
    if native.find_compiler():
        expected = f"{versions({'engine': 'dawdreamer'})}, {native.compiler_version()}"
        assert versions({}) == versions({"engine": "c"}) == expected


def test_without_a_compiler_dawdreamer_renders(monkeypatch):
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    assert "," not in versions({"engine": "auto"})
    with pytest.raises(UserError, match="no C compiler is installed; give dawdreamer"):
        versions({"engine": "c"})


@pytest.mark.long
def test_a_missing_package_is_one_line_before_any_work(tmp_path):
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text("import sys\nsys.modules['dawdreamer'] = None\n")
    words = ["synth=faust_saw_ladder", f"generate.output_dir={tmp_path / 'data'}", "dataset.size=16"]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{running.ROOT}"}
    command = [sys.executable, running.ROOT / "generate_vimh.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1 and not (tmp_path / "data").exists()
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert line.endswith("DawDreamer, which is not installed; install it with: uv pip install -e '.[faust]'")


def faust_recipe(source, **settings):
    plain = tiny_recipe(**{"dataset.size": 128}).model_dump(mode="json")
    plain["synth"] |= {"name": "mine", "voice": "faust", "source": source, "parameters": "auto", "settings": settings}
    return parse_recipe(plain)


def test_shards_of_another_engine_are_not_merged(tmp_path, monkeypatch):
    recipe = faust_recipe(SINE)
    make_shard(recipe, tmp_path, 0, 2)
    monkeypatch.setattr("src.synth.faust.voice.engine_version", lambda: "dawdreamer 99")
    make_shard(recipe, tmp_path, 1, 2)
    with pytest.raises(UserError, match=r"0-of-2: was made with synth\.engine = dawdreamer"):
        merge_shards(recipe, tmp_path, 2)


def test_an_existing_dataset_of_another_engine_is_used(tmp_path, monkeypatch):
    plain = faust_recipe(SINE).model_dump(mode="json")
    plain["dataset"]["name"] = "mine"
    first = VIMHDataModule(recipe=plain, root=tmp_path)
    first.prepare_data()
    monkeypatch.setattr("src.synth.faust.voice.engine_version", lambda: "dawdreamer 99")
    again = VIMHDataModule(recipe=plain, root=tmp_path)
    again.prepare_data()
    assert again.data_dir == first.data_dir
    other = {**plain, "synth": plain["synth"] | {"source": SINE.replace("0.5", "0.4")}}
    with pytest.raises(UserError, match=r"was generated with synth\.source = .*0\.5.*, but .*0\.4.* is given"):
        VIMHDataModule(recipe=other, root=tmp_path).prepare_data()


def test_all_clips_silent_is_refused_and_some_are_told(tmp_path, caplog):
    with pytest.raises(UserError, match=r"the first 64 clips are all silent, such as {'f': "):
        generate(faust_recipe('process = hslider("f", 1, 0, 1, 0.1) > 2;'), tmp_path)
    source = 'import("stdfaust.lib"); f = hslider("f", 100, 50, 2000, 1); process = os.osc(f) * (f > 1000);'
    generate(faust_recipe(source), tmp_path)
    (told,) = [record.getMessage() for record in caplog.records if "silent" in record.getMessage()]
    assert "of the first 64 clips are silent, such as {'f': " in told


def test_json_of_a_dataset_is_enough_to_render_it_again(tmp_path):
    """The recipe holds the program itself, not its path."""
    path = tmp_path / "mine.dsp"
    path.write_text(SINE)
    directory, _ = generate(faust_recipe(str(path)), tmp_path / "data")
    path.unlink()
    held = json.loads((directory / "vimh_dataset_info.json").read_text())["generator"]["config"]["synth"]
    assert (
        held["source"].startswith("import") and held["engine"] == versions({"engine": "auto"}) and held["auto"] is True
    )
    with pytest.raises(UserError, match=r"give trust=\[faust\]"):
        source_of(read_spec(directory))
    assert source_of(read_spec(directory), ["faust"]).synth.space.names == ("f",)


def test_a_fault_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "mine.dsp"
    path.write_text("\nprocess = foo;")
    config = SynthConfig(
        name="mine", voice="faust", source=str(path), sample_rate=FS, duration=0.1, parameters={"auto": True}
    )
    with pytest.raises(UserError, match=r"^/.*mine\.dsp: line 2: undefined symbol : foo$"):
        load_synth(config)
