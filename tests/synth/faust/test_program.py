"""What a Faust program says of itself, and what is refused in one line."""

import os

import pytest

from src.synth.faust.program import describe_program, is_library_model, read_source
from src.utils.errors import UserError
from tests.synth.faust.programs import CONTROLS, needs_faust


@needs_faust
def test_controls_have_the_numbers_and_the_metadata_of_the_text():
    program = describe_program(CONTROLS)
    assert (program.num_inputs, program.num_outputs) == (0, 2)
    found = {control.address.removeprefix("/dawdreamer/"): control for control in program.controls}
    assert set(found) == {"My_group__x_/c_d_e.f", "other/c_d_e.f", "gate", "wave", "count", "bend", "mute"}
    one = found["My_group__x_/c_d_e.f"]
    assert (one.label, one.kind, one.initial, one.low, one.high, one.step) == ("c/d e.f", "slider", 100, 20, 2000, 0.01)
    assert one.metadata == {"unit": "Hz", "scale": "log", "tooltip": "say hi (a), b"}
    other = found["other/c_d_e.f"]
    assert (other.initial, other.low, other.step, other.metadata) == (-100.5, -2000, 0, {})
    assert found["gate"].kind == "checkbox" and found["count"].kind == "entry"
    assert found["wave"].metadata == {"style": "menu{'saw':0;'square wave':1}"}


@needs_faust
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("process = foo;", "synth.source: line 1: undefined symbol : foo"),
        ("\n\nprocess = 1 +;", "synth.source: line 3: syntax error"),
        ("gibberish", "synth.source: line 1: syntax error"),
        ("pm.no_such_model", "synth.source: line 1: undefined symbol : no_such_model; pm.no_such_model is no model"),
        (
            'import("mine.lib"); process = 0;',
            "synth.source: unable to open file mine.lib; the program must",
        ),
        ("", "synth.source: "),
    ],
)
def test_what_is_not_a_program_is_one_line(source, message):
    with pytest.raises(UserError) as raised:
        describe_program(source)
    assert str(raised.value).startswith(message) and len(str(raised.value)) < 300


def test_only_names_of_the_library_are_models():
    assert is_library_model("pm.clarinet_ui_MIDI")
    assert not any(map(is_library_model, ("pm.", "pm.a; process = 1", "pm.a b", "os.osc", "xpm.a", "pm.a\n")))


def test_a_path_is_replaced_by_the_text_of_its_file(tmp_path):
    path = tmp_path / "mine.dsp"
    path.write_text("process = 1;")
    assert read_source(str(path)) == "process = 1;"
    for source in ("pm.ks", "process = 1;", "// mine.dsp\nprocess = 1;\n// mine.dsp"):
        assert read_source(source) == source


@pytest.mark.parametrize("source", ["/tmp", "mine.lib", "guitar", ""])
def test_what_is_neither_a_path_nor_a_program_is_refused(source):
    with pytest.raises(UserError, match=r"synth.source: .* is neither the path of a .dsp file nor a program; give"):
        read_source(source)


def test_what_is_not_a_text_file_is_refused_before_it_is_read(tmp_path):
    missing, pipe, latin = tmp_path / "missing.dsp", tmp_path / "pipe.dsp", tmp_path / "latin.dsp"
    os.mkfifo(pipe)
    latin.write_bytes(b"// \xff\nprocess = 1;")
    for path, reason in ((missing, "no such file"), (pipe, "a pipe"), (latin, "cannot be read as text")):
        with pytest.raises(UserError, match=reason):
            read_source(str(path))
    large = tmp_path / "large.dsp"
    large.write_text("//" + "x" * 1_000_000)
    with pytest.raises(UserError, match="1,000,002 letters"):
        read_source(str(large))
