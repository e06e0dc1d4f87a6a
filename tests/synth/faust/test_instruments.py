"""The voice of several instruments against the models that it plays."""

import numpy as np
import pytest

from src.parameters.space import ParameterSpace
from src.synth.faust.instruments import INSTRUMENTS, INSTRUMENTS_BY_NAME
from src.synth.faust.voice import make_voice
from tests.synth.faust.programs import needs_faust

pytestmark = [needs_faust, pytest.mark.long]
FS, T = 22050, 6000


def playing(count):
    """Return parameters (count,) of notes that all instruments can play, each instrument in turn."""
    space = ParameterSpace(INSTRUMENTS.parameters)
    given = space.complete(space.sample(0, 0, count))
    random = np.random.default_rng(0)
    return given | {
        "instrument": np.arange(count) % len(INSTRUMENTS_BY_NAME),
        "note_number": random.uniform(48, 72, count),
        "note_velocity": random.uniform(95, 127, count),
    }


def test_every_instrument_is_heard_and_depends_on_its_own_parameters():
    given = playing(25)
    together = INSTRUMENTS.render(given, FS, T)
    assert np.isfinite(together).all() and (np.abs(together).max(axis=0) > 1e-3).all()
    for part in (slice(0, 1), slice(3, 5), slice(9, 25)):
        chosen = {name: values[part] for name, values in given.items()}
        np.testing.assert_array_equal(INSTRUMENTS.render(chosen, FS, T), together[:, part])


def test_a_flute_is_the_flute_of_the_library():
    given = {name: values[1:2] for name, values in playing(5).items()}
    voice = make_voice("pm.flute_ui_MIDI")
    same = {spec.name: np.full(1, spec.default) for spec in voice.parameters}
    same |= {name: given[name] for name in ("note_number", "note_velocity")}
    same |= {"vibratoFreq": given["vibrato_rate"], "vibratoGain": given["vibrato_depth"]}
    same["mouthPosition"] = 0.3 + 0.4 * given["colour"]
    np.testing.assert_array_equal(INSTRUMENTS.render(given, FS, T), voice.render(same, FS, T, note_off=0.8))
