"""predictions.npz, read by NumPy alone and by the reader that refuses damaged files."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.evaluate import evaluate
from src.evaluation.predictions_file import FILE, SplitPredictions, read_predictions_file, write_predictions_file
from src.evaluation.reliability import inside_90
from src.evaluation.tables import write_evaluation
from src.models.build import load_checkpoint
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests.evaluation.test_evaluate import quiet_trainer

SPACE = ParameterSpace(
    [
        ParameterSpec(name="cutoff", min=100, max=1000, unit="Hz", scale="log"),
        ParameterSpec(name="wave <b>", min=0, max=2, kind="categorical", values=("saw", "sine", "noise")),
    ]
)


def predictions(count=5):
    random = np.random.default_rng(0)
    value, truth, sd, low_68, high_68, low_90, high_90 = random.random((7, count, 2))
    level, true_level = random.integers(3, size=(2, count, 2))
    about = {"dataset": "mine", "dataset_sha256": {"test": "0"}}
    ends = (low_68, high_68, low_90, high_90)
    limits = np.array([0.1, np.nan])
    probabilities = {"wave <b>": random.dirichlet(np.ones(3), count)}
    energies = {"wave <b>": -random.random(count)}
    known = (SPACE, value, truth, sd, *ends, level, true_level, random.random(2), limits, about)
    return SplitPredictions(*known, probabilities=probabilities, energies=energies, distance=sd[:, 0])


def test_what_is_read_is_what_was_written(tmp_path):
    written = predictions()
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    write_predictions_file(written, tmp_path, checkpoint)
    found = read_predictions_file(tmp_path / FILE)
    assert found.space == SPACE
    ends = ("low_68", "high_68", "low_90", "high_90")
    for name in ("value", "truth", "sd", *ends, "baseline", "image_limit", "distance"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name).astype(np.float32))
    np.testing.assert_array_equal(found.level, written.level)
    np.testing.assert_array_equal(found.true_level, written.true_level)
    assert set(found.probabilities) == {"wave <b>"}
    np.testing.assert_allclose(found.probabilities["wave <b>"], written.probabilities["wave <b>"], rtol=1e-6)
    assert set(found.energies) == {"wave <b>"}
    np.testing.assert_array_equal(found.energies["wave <b>"], written.energies["wave <b>"].astype(np.float32))
    assert found.about["checkpoint_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert found.about["dataset"] == "mine"


def test_the_same_predictions_make_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_predictions_file(predictions(), tmp_path / name)
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()


def test_a_test_writes_the_predictions_behind_its_errors(tmp_path, trained, saw):
    evaluation = evaluate(load_checkpoint(trained.best), VIMHDataModule(saw), quiet_trainer())
    write_evaluation(evaluation, tmp_path, trained.best)
    results = json.loads((tmp_path / "test_results.json").read_text())
    with np.load(tmp_path / FILE) as file:
        errors = np.abs(file["value"] - file["truth"]).mean(axis=0)
        baselines = np.abs(file["baseline"] - file["truth"]).mean(axis=0)
        hits = (file["level"] == file["true_level"]).mean(axis=0)
        names, units, about = file["names"].tolist(), file["units"].tolist(), json.loads(str(file["about"]))
    assert names == [row["name"] for row in results["rows"]]
    assert units == [row["unit"] for row in results["rows"]]
    np.testing.assert_allclose(errors, [row["mae"] for row in results["rows"]], rtol=1e-5)
    np.testing.assert_allclose(baselines, [row["baseline"] for row in results["rows"]], rtol=1e-5)
    np.testing.assert_allclose(hits, [row["accuracy"] for row in results["rows"]])
    truth = read_predictions_file(tmp_path / FILE).truth
    np.testing.assert_allclose(truth, np.load(saw / "test_params.npy"), rtol=1e-6)
    assert about["checkpoint_sha256"] == hashlib.sha256(trained.best.read_bytes()).hexdigest()
    assert set(about["dataset_sha256"]) >= {"train", "test"}
    assert "predictions" not in results
    coverages = [row["coverage"] for row in results["reliability"]]
    np.testing.assert_allclose(coverages, inside_90(read_predictions_file(tmp_path / FILE)).mean(axis=0))


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    directory = tmp_path_factory.mktemp("file")
    write_predictions_file(predictions(), directory)
    return (directory / FILE).read_bytes()


@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), kept=st.integers(1, 10**6))
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path_factory, content, at, byte, kept):
    damaged = bytearray(content[: max(1, kept % len(content))])
    damaged[at % len(damaged)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(damaged)
    try:
        read_predictions_file(path)
    except UserError as error:
        assert "\n" not in str(error)
        assert "damaged.npz" in str(error)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("value", np.zeros((5, 3), np.float32), "value: an array"),
        ("level", np.zeros((5, 2), np.float32), "level: an array"),
        ("probabilities_1", np.zeros((5, 2), np.float32), "probabilities_1: an array"),
        ("value", np.array(["a"]), "value: an array"),
        ("truth", np.array([{}], object), "allow_pickle"),
        ("distance", np.zeros(4, np.float32), "distance: an array"),
        ("about", np.array("no JSON"), "Expecting value"),
        ("about", np.array("{}"), "parameters"),
        ("about", np.array("[]"), "no JSON object"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, content, name, array, message):
    path = tmp_path / FILE
    path.write_bytes(content)
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = array
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=message):
        read_predictions_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=FILE):
        read_predictions_file(tmp_path / FILE)
