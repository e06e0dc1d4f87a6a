"""The calls of the Python API give the figures of the commands."""

import runpy
import subprocess
import sys

import numpy as np
import pytest
import torch

from src import api
from src.data.info import read_spec
from src.evaluation.rerender import rendering_source
from src.utils.errors import UserError
from tests import running


@pytest.fixture(scope="module")
def model(trained):
    return api.load(trained.best)


@pytest.fixture(scope="module")
def clip(saw):
    """The first test sound (T,) float32 at 8 kHz, and its true values by name."""
    spec, values = read_spec(saw), np.load(saw / "test_params.npy")[:1]
    sound = rendering_source(spec).synth.render(values.astype(np.float64))[:, 0]
    return sound, dict(zip(spec.space.names, values[0].tolist(), strict=True))


def test_importing_it_imports_no_torch():
    code = "import sys, src.api; assert 'torch' not in sys.modules and 'lightning' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=running.ROOT, check=True)


def test_a_prediction_is_that_of_the_command(model, clip, trained, saw, tmp_path):
    import json

    prediction = api.predict(model, clip[0], 8000)
    running.run("predict", tmp_path, tmp_path / "out", f"ckpt_path={trained.best}", f"input={saw}")
    written = json.loads((tmp_path / "out/predictions.json").read_text())
    assert prediction.values == pytest.approx(written["predictions"]["test 0"], rel=1e-4)
    assert prediction.uncertainties == pytest.approx(written["uncertainties"]["test 0"], rel=1e-3)
    assert prediction.units == written["units"]
    for name, value in prediction.values.items():
        assert prediction.low[name] <= value <= prediction.high[name]


def test_another_rate_and_length_are_adapted(model, clip):
    twice = np.repeat(clip[0], 2)  # at 16 kHz, with images that the resampling filter removes
    here = api.predict(model, clip[0], 8000).values
    there = api.predict(model, np.concatenate([twice, np.zeros(4000)]), 16000).values
    span = {one.name: one.max - one.min for one in model.spec.space}
    assert all(abs(here[name] - there[name]) < 0.2 * span[name] for name in span)


def test_true_values_render_the_sound(model, clip):
    sound, rate = api.render(model, clip[1])
    assert rate == 8000
    np.testing.assert_allclose(sound, clip[0], atol=1e-6)


def test_the_evaluation_is_that_of_the_training_run(trained, saw):
    evaluation = api.evaluate(trained.best, saw)
    assert [row.mae for row in evaluation.rows] == pytest.approx([row["mae"] for row in trained.results["rows"]])


@pytest.mark.parametrize(
    ("audio", "rate", "words"),
    [
        (np.zeros((10, 2)), 8000, "one channel is needed"),
        (np.zeros(0), 8000, "one channel is needed"),
        (np.array([0.1, np.nan]), 8000, "sample 1 is not finite"),
        (np.zeros(8000), 8000, "silent"),
        (np.ones(8000), 2**31 - 1, "sample_rate: 2147483647 given"),
        (np.ones(8000), "8000", "sample_rate: '8000' given"),
        (np.ones(8000) * 32767, 8000, "audio: peaks at 3.28e.04 times full scale"),
        (np.ones(8000, bool), 8000, "audio: bool given; give floats in -1..1"),
        (np.ones(8000, complex), 8000, "audio: complex128 given"),
        (["a"], 8000, "audio: <U1 given"),
        ([1, 0, -1], 8000, "audio: int64 given"),
    ],
)
def test_what_is_no_sound_is_one_line(model, audio, rate, words):
    with pytest.raises(UserError, match=words):
        api.predict(model, audio, rate)


@pytest.mark.parametrize("dtype, zero, full_scale", [("int16", 0, 2**15), ("int32", 0, 2**31), ("uint8", 128, 128)])
def test_integers_are_samples_as_wav_files_hold_them(model, clip, dtype, zero, full_scale):
    integers = np.round(clip[0] * full_scale + zero).clip(np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
    floats = (integers.astype(np.float64) - zero) / full_scale
    assert api.predict(model, integers, 8000) == api.predict(model, floats, 8000)


def test_a_tensor_of_a_graph_is_a_sound(model, clip):
    tensor = torch.tensor(clip[0], requires_grad=True)
    assert api.predict(model, tensor, 8000) == api.predict(model, clip[0], 8000)


@pytest.mark.parametrize("value", [1e9, float("nan"), "3", None])
def test_values_outside_of_the_range_are_refused(model, clip, value):
    with pytest.raises(UserError, match=r"^values: note_velocity is .*; give 64 to 127 MIDI velocity$"):
        api.render(model, clip[1] | {"note_velocity": value})


def test_values_of_other_parameters_are_refused(model, clip):
    with pytest.raises(UserError, match="cutoff"):
        api.render(model, clip[1] | {"cutoff": 1.0})


def test_the_example_runs(trained, saw, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["python_api.py", str(trained.best), str(saw)])
    runpy.run_path(str(running.ROOT / "examples/python_api.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert "error of the waveform" in told and told.count("MAE") == 2
