"""Refined predictions of a trained network: files, datasets, the test split and the Python API."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from src import api
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.predict import estimate_dataset
from src.evaluation.refinement.answers import make_refiner, refine_dataset
from src.evaluation.refinement.options import Options
from src.models.build import load_checkpoint
from src.spectral.audio_file import write_clip
from src.utils.errors import UserError
from tests import running


@pytest.fixture(scope="module")
def model(trained):
    return load_checkpoint(trained.best)


@pytest.fixture
def sound(model, tmp_path):
    values = {"note_velocity": 100.0, "log10_decay_time": -0.5}
    audio, rate = api.render(model, values)
    write_clip(tmp_path / "sound.wav", audio, rate)
    return values, audio, rate, tmp_path / "sound.wav"


def test_a_file_is_refined_to_its_parameters(trained, data_root, sound, tmp_path, capsys):
    values, _, _, path = sound
    running.run("predict", data_root, tmp_path / "out", f"ckpt_path={trained.best}", f"input={path}", "refine=5")
    found = json.loads((tmp_path / "out/predictions.json").read_text())
    for name, value in values.items():
        assert found["predictions"]["sound.wav"][name] == pytest.approx(value, rel=1e-3)
    how = found["refinement"]["sound.wav"]
    assert how["rms_after"] < how["rms_before"] and 1 <= how["iterations"] <= 20
    (row,) = csv.DictReader((tmp_path / "out/predictions.csv").read_text().splitlines())
    assert float(row["note_velocity_network"]) == pytest.approx(how["network"]["note_velocity"], rel=1e-4)
    assert float(row["note_velocity_uncertainty"]) < 0.5
    printed = capsys.readouterr().out
    assert "refined in" in printed and "network" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_the_python_api_refines(model, sound):
    values, audio, rate, _ = sound
    refined, network = (api.predict(model, audio, rate, refine=refine) for refine in (5, 0))
    for name, value in values.items():
        assert refined.values[name] == pytest.approx(value, rel=1e-3)
        assert refined.low[name] <= refined.values[name] <= refined.high[name]
    how = refined.refinement
    assert how.network == network.values and network.refinement is None
    assert how.rms_after < how.rms_before and not how.ambiguous


def test_the_python_api_takes_the_settings_of_the_command(model, sound, trained, data_root, tmp_path):
    *_, path = sound
    audio, rate = soundfile.read(path)
    given = (f"ckpt_path={trained.best}", f"input={path}", "refine.iterations=3", "refine.residual=db")
    running.run("predict", data_root, tmp_path / "out", *given)
    how = json.loads((tmp_path / "out/predictions.json").read_text())["refinement"]["sound.wav"]
    found = api.predict(model, audio, rate, refine={"iterations": 3, "residual": "db"}).refinement
    assert (found.rms_after, found.iterations) == (how["rms_after"], how["iterations"])
    assert found.rms_after != api.predict(model, audio, rate, refine=3).refinement.rms_after
    assert found.network == pytest.approx(how["network"])


def test_the_test_split_is_refined_and_reported(trained, data_root, saw, tmp_path, capsys):
    running.run("eval", data_root, tmp_path, f"ckpt_path={trained.best}", "refine=3", "trainer=cpu")
    results = json.loads((tmp_path / "refinement_results.json").read_text())
    assert results["num_samples"] == 13 and results["rms_after"] < results["rms_before"]
    for row in results["rows"]:
        assert row["mae"] < row["network_mae"] and row["median"] <= row["mae"] * 3
    printed = capsys.readouterr().out
    assert "refined, test split" in printed and max(map(len, printed.splitlines())) <= 80
    assert "refined MAE" in (tmp_path / "refinement_results.md").read_text()


def test_a_dataset_is_refined(trained, data_root, saw, tmp_path):
    running.run("predict", data_root, tmp_path, f"ckpt_path={trained.best}", f"input={saw}", "refine=2")
    found = json.loads((tmp_path / "predictions.json").read_text())
    assert len(found["refinement"]) == 13
    assert all(how["rms_after"] <= how["rms_before"] for how in found["refinement"].values())


def test_intervals_are_on_the_parameters_scale_and_in_its_range(model, saw):
    dataset = VIMHDataset(saw, "test")
    network = estimate_dataset(model, dataset)
    refiner = make_refiner(model, model.spec, Options(iterations=2))
    estimates, refined = refine_dataset(refiner, dataset, network)
    space = model.spec.space
    fits = np.isfinite(estimates.uncertainties).all(axis=1)
    assert fits.any()
    assert ((estimates.low_90 >= space.min) & (estimates.high_90 <= space.max))[fits].all()
    inside = (estimates.low_90 > space.min) & (estimates.high_90 < space.max)
    width = (estimates.high_90 - estimates.low_90) / (2 * 1.645)
    np.testing.assert_allclose(width[inside], estimates.uncertainties[inside], rtol=1e-6)
    assert refined.unit.shape == estimates.values.shape


def test_a_synth_that_is_missing_or_not_trusted_is_one_line(trained, data_root, sound, tmp_path, caplog, monkeypatch):
    *_, path = sound
    monkeypatch.setattr("src.synth.voice.OUR_VOICES", frozenset())
    given = (f"ckpt_path={trained.best}", f"input={path}", "refine=3")
    line = running.fault(caplog, "predict", data_root, tmp_path / "out", *given)
    assert "is not built in" in line and "trust=" in line


def test_a_model_without_continuous_parameters_is_one_line(model, monkeypatch):
    effects = tuple(row.model_copy(update={"blind": True, "range_db": 0.0}) for row in model.spec.origin.sensitivity)
    assert effects
    origin = SimpleNamespace(recipe=model.spec.origin.recipe, sensitivity=effects)
    monkeypatch.setattr("src.evaluation.refinement.answers.source_of", lambda spec, trust: SimpleNamespace(
        synth=SimpleNamespace(space=model.spec.space)))  # fmt: skip
    with pytest.raises(UserError, match="none can be refined"):
        make_refiner(model, SimpleNamespace(name="saw", origin=origin), Options(iterations=1))


@pytest.mark.parametrize("refine", [-1, 2.5, 5000, {"iterations": 3, "start": 2}])
def test_settings_that_are_none_are_one_line(model, sound, refine):
    _, audio, rate, _ = sound
    with pytest.raises(UserError, match=r"^refine"):
        api.predict(model, audio, rate, refine=refine)
