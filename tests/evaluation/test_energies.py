"""Energies against scipy, their histograms against NumPy, their areas against scikit-learn; and eval's file."""

import csv
import io

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from src.data.info import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.energies import energies_csv, energies_of, energy_table
from src.evaluation.predictions_file import read_predictions_file
from src.evaluation.split_outputs import run_split
from src.models.build import build_model, load_checkpoint
from src.models.tasks.parameters import parameters_of
from src.utils.errors import UserError
from tests import running
from tests.evaluation.datasets import write_every_kind

RNG = np.random.default_rng(0)
TEST, UNLIKE = {"=wave": RNG.normal(-4, 1, 300)}, {"=wave": RNG.normal(-2, 2, 40)}


def parsed(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_the_file_has_a_histogram_for_each_parameter():
    rows = parsed(energies_csv(TEST, UNLIKE))
    both = np.concatenate([TEST["=wave"], UNLIKE["=wave"]])
    counts, edges = np.histogram(TEST["=wave"], 20, (both.min(), both.max()))
    assert [int(row["test"]) for row in rows] == counts.tolist()
    assert sum(int(row["unlike"]) for row in rows) == 40
    np.testing.assert_allclose([float(row["energy_from"]) for row in rows], edges[:-1], rtol=1e-5)
    assert {row["parameter"] for row in rows} == {"'=wave"}  # no formula for a spreadsheet
    assert list(parsed(energies_csv(TEST))[0]) == ["parameter", "energy_from", "energy_to", "test"]


def test_a_network_that_diverged_has_a_histogram_of_its_finite_energies():
    rows = parsed(energies_csv({"wave": np.array([np.nan, np.inf, 1.0, 2.0])}))
    assert sum(int(row["test"]) for row in rows) == 2


def test_the_area_is_that_of_unlike_samples_above_those_of_the_test():
    _, ((name, low, high, area),) = energy_table(TEST, UNLIKE)
    is_unlike = np.repeat([0, 1], [300, 40])
    expected = roc_auc_score(is_unlike, np.concatenate([TEST["=wave"], UNLIKE["=wave"]]))
    assert float(area) == pytest.approx(expected, abs=5e-4)
    assert float(low) == pytest.approx(np.median(TEST["=wave"]), rel=5e-3) and float(high) > float(low)
    assert name == "=wave"


def test_energies_are_those_of_the_logits_of_heads_that_have_some(tmp_path):
    directory = tmp_path / "vimh_every_kind"
    write_every_kind(directory)
    torch.manual_seed(0)
    spec = read_spec(directory)
    model = build_model(running.plain("train", "model"), spec).eval()
    dataset = VIMHDataset(directory, "test")
    found = run_split(model, dataset).energies
    assert set(found) == {one.name for one in spec.space if one.kind == "categorical"}  # the others are regressions
    heads, images = parameters_of(model), dataset.__getitems__(range(len(dataset)))["image"] / 255.0
    with torch.inference_mode():
        outputs = heads(model.features(images))
    for name, energy in found.items():
        np.testing.assert_allclose(energy, -logsumexp(outputs[name].double().numpy(), axis=1), rtol=1e-4)
        np.testing.assert_allclose(energies_of(model, directory)[name], energy, rtol=1e-4)


@pytest.mark.long
def test_eval_compares_the_energies_of_the_test_with_those_of_unlike_sounds(data_root, saw, tmp_path, trained, caplog):
    run = tmp_path / "run"
    running.run("train", data_root, run, "heads=classification", "trainer.max_epochs=1", "logger=none")
    assert len(parsed((run / "energies.csv").read_bytes())) == 2 * 20
    given = (f"ckpt_path={run}/checkpoints/best.ckpt", f"unlike={saw}", "trainer=cpu")
    running.run("eval", data_root, tmp_path / "eval", *given)
    rows = parsed((tmp_path / "eval/energies.csv").read_bytes())
    assert [row["test"] for row in rows] == [row["unlike"] for row in rows]  # they are the same sounds
    energies = read_predictions_file(tmp_path / "eval/predictions.npz").energies
    assert set(energies) == {"note_velocity", "log10_decay_time"}
    message = running.fault(caplog, "eval", data_root, tmp_path, f"ckpt_path={trained.best}", f"unlike={saw}")
    assert message.startswith("unlike: no head of this model has logits")


def test_a_model_without_logits_is_refused(trained, saw):
    with pytest.raises(UserError, match=r"^unlike: no head of this model has logits"):
        energies_of(load_checkpoint(trained.best), saw)
