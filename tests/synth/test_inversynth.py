"""The re-implementation of InverSynth's synthesizer against scipy, and its config against the paper's ranges."""

import numpy as np
import pytest
from scipy import signal

from src.data.recipe import parse_recipe
from src.data.source import load_source
from src.parameters.space import ParameterSpace
from src.synth.inversynth import INVERSYNTH
from src.synth.saw_moog import note_to_hz
from src.utils.errors import UserError
from tests import running

FS = 16384
WAVES = {
    "sine": np.sin,
    "saw": signal.sawtooth,
    "triangle": lambda phase: signal.sawtooth(phase + np.pi / 2, 0.5),
    "square": signal.square,
}


@pytest.fixture(scope="module")
def source():
    return load_source(parse_recipe(running.recipe("synth=inversynth", "dataset.size=256")))


def reference(p, num_samples, gate_time=0.75):
    """Return one voice in float64; its parameters are numbers."""
    t = np.arange(num_samples) / FS
    x = np.zeros(num_samples)
    for shape, wave in WAVES.items():
        frequency, rate = note_to_hz(p[f"{shape}_note"]), p[f"{shape}_fm_rate"]
        phase = 2 * np.pi * frequency * t + p[f"{shape}_fm_depth"] / rate * np.sin(2 * np.pi * rate * t)
        x += p[f"{shape}_level"] / 4 * wave(phase)
    corners = [0, p["attack"], p["attack"] + p["decay"]], [0, 1, p["sustain"]]
    x *= np.interp(np.minimum(t, gate_time), *corners) * np.clip(1 - (t - gate_time) / p["release"], 0, 1)
    cutoff = 2 * FS * np.tan(np.pi * min(p["filter_cutoff"] / FS, 0.45))  # pre-warped
    x = signal.lfilter(*signal.bilinear([cutoff**2], [1, cutoff / p["filter_q"], cutoff**2], FS), x)
    return np.where(p["gate_rate"] * t % 1 < 0.5, x, 0)


def test_it_is_oscillators_envelope_filter_and_gate(source):
    """At random values, where no jump of a wave falls on a sample."""
    space = ParameterSpace(spec.model_copy(update={"kind": "continuous"}) for spec in source.synth.space.specs)
    values = space.complete(space.sample(0, 0, 20))
    rendered = INVERSYNTH.render(values, FS, FS)
    for v in range(20):
        expected = reference({name: column[v] for name, column in values.items()}, FS)
        np.testing.assert_allclose(rendered[:, v], expected, rtol=0, atol=1e-5)


def test_the_config_has_the_ranges_of_the_paper(source):
    space = source.synth.space
    assert len(space) == 23 and set(space.num_classes) == {16} and not space.fixed
    (sine,) = (spec for spec in space if spec.name == "sine_note")
    classes = note_to_hz(space.from_class(np.tile(np.arange(16)[:, None], 23))[:, space.index("sine_note")])
    np.testing.assert_allclose(classes, 440 * 2 ** (np.arange(16) / 12))
    limits = {spec.name: (spec.min, spec.max) for spec in space}
    for shape in WAVES:
        assert limits[f"{shape}_note"] == (sine.min, sine.max) and limits[f"{shape}_fm_rate"] == (1, 30)
        assert limits[f"{shape}_level"] == (0.001, 1) and limits[f"{shape}_fm_depth"] == (0, 1500)
    assert {limits[name] for name in ("attack", "decay", "sustain", "release")} == {(0.001, 1)}
    rest = [limits[name] for name in ("filter_cutoff", "filter_q", "gate_rate")]
    assert rest == [(200, 4000), (0.01, 10), (0.5, 30)]


@pytest.mark.parametrize("gate_time", [0, -1, float("nan"), float("inf"), True, "long"])
def test_a_wrong_gate_time_is_told(gate_time):
    with pytest.raises(UserError, match=r"^synth\.settings\.gate_time: .* given; give a number of seconds above 0$"):
        INVERSYNTH.render({}, FS, 10, gate_time=gate_time)
