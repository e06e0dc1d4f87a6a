"""`make list-parameters` says what a voice can vary, in 80 columns."""

import re

import numpy as np
import pytest

from src.parameters.spec import ParameterSpec
from src.synth.config import SynthConfig, load_synth
from src.synth.voice import Voice
from src.utils.errors import UserError
from tests import running
from tests.synth.outside import require_installed
from viz.list_parameters import WIDTH, list_parameters, load

SYNTHS = sorted(path.stem for path in (running.CONFIGS / "synth").glob("*.yaml"))
WORDY = Voice(
    name="wordy",
    parameters=(
        ParameterSpec(name="wave", values=["sine", "triangle", "square", "sawtooth", "noise", "silence"], default=2),
        ParameterSpec(name="a_name_of_more_than_twenty_letters", min=-1234.5678, max=98765.4321, unit="semitones",
                      default=0.125, description="a description " * 20),
        ParameterSpec(name="<b>[red]gain[/]", min=0, max=1, default=0.5),
    ),
    render=lambda p, sample_rate, num_samples: np.ones((num_samples, 1)) * p["wave"],
)  # fmt: skip


@pytest.mark.parametrize("synth", SYNTHS)
def test_every_parameter_is_listed_whole_in_80_columns(synth):
    require_installed(synth)
    loaded = load(synth)
    lines = list_parameters(loaded)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= WIDTH
    words = " ".join(text.split())
    for spec in loaded.voice.parameters:
        start = next(at for at, line in enumerate(lines) if line.startswith(f"{spec.name} "))
        row = lines[start]
        while len(lines) > start + 1 and lines[start + 1].startswith("    "):  # a row that is wrapped
            row, start = f"{row} {lines[start + 1].strip()}", start + 1
        allowed = ", ".join(spec.values) if spec.values else f"{spec.min:g}..{spec.max:g}"
        assert allowed in row and row.endswith(spec.unit) and spec.description in words
        assert re.search(rf"\s{re.escape(spec.format(spec.default))}(\s|$)", row)


def test_the_configs_own_ranges_stand_beside_the_allowed_ones():
    rows = {line.split()[0]: line for line in list_parameters(load("moog_basic")) if not line.startswith(" ")}
    assert "20..20000" in rows["filter_cutoff"] and "200..2000 by 100" in rows["filter_cutoff"]
    assert rows["note_number"].split() == ["note_number", "0..127", "43.35", "43.35", "MIDI", "note"]


def test_long_names_and_many_categories_are_wrapped_and_never_cut(monkeypatch):
    config = {"name": "t", "voice": "tests.test_list_parameters.WORDY", "sample_rate": 8000, "duration": 0.1}
    given = {"a_name_of_more_than_twenty_letters": {"min": -1, "step": 0.25, "max": 1}, "wave": {"value": "noise"}}
    lines = list_parameters(load_synth(SynthConfig(**config, parameters=given)))
    assert max(map(len, lines)) <= WIDTH
    words = " ".join(lines).split()
    for word in ("sawtooth,", "a_name_of_more_than_twenty_letters", "-1234.57..98765.4", "-1..1", "<b>[red]gain[/]"):
        assert word in words


def test_an_unknown_synth_is_told():
    with pytest.raises(UserError, match=r"SYNTH: no config 'moog_basics'. Did you mean 'moog_basic'\?"):
        load("moog_basics")
