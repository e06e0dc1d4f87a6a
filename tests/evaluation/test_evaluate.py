"""The figures of a test, each computed again from the files' bytes in float64."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from lightning import Trainer

from src.data.spec import DatasetSpec, read_spec
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.evaluate import Evaluation, evaluate, predict_values, require_same_task
from src.models.build import build_model, load_checkpoint
from src.synth.parameters import ParameterSpace, ParameterSpec
from src.utils.errors import UserError
from tests import running

RANGES = {"note_velocity": (64, 127), "log10_decay_time": (-2, 0.3)}


def split_of(directory, split):
    """Parse a split by hand: images (n, 32, 32) and quantised and exact values (n, 2)."""
    records = np.frombuffer((directory / split).read_bytes(), np.uint8).reshape(-1, 15 + 2 * 2 + 32 * 32)
    low, high = np.array(list(RANGES.values())).T
    quantised = low + records[:, [16, 18]] / 255 * (high - low)
    return records[:, 19:].reshape(-1, 32, 32), quantised, np.load(directory / f"{split}_params.npy").astype(float)


@pytest.fixture(scope="module")
def evaluation(trained, saw) -> Evaluation:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    return evaluate(load_checkpoint(trained.best), VIMHDataModule(saw), trainer)


def test_errors_are_those_of_the_predictions(evaluation, trained, saw):
    images, _, exact = split_of(saw, "test")
    model = load_checkpoint(trained.best)
    with torch.no_grad():
        values = np.stack([model.values(torch.from_numpy(image / 255)[None, None].float())[0] for image in images])
    error = np.abs(values - exact)
    for at, row in enumerate(evaluation.rows):
        assert row.name == list(RANGES)[at]
        assert row.mae == pytest.approx(error[:, at].mean(), rel=1e-5)
        steps = np.abs(classes(values[:, at], row.name) - classes(exact[:, at], row.name))
        assert row.accuracy == pytest.approx((steps == 0).mean(), abs=1e-6)
        assert row.within_one_step == pytest.approx((steps <= 1).mean(), abs=1e-6)
    spans = [high - low for low, high in RANGES.values()]
    assert evaluation.metrics["test/nmae"] == pytest.approx((error.mean(axis=0) / spans).mean(), rel=1e-5)
    assert evaluation.num_samples == 13


def classes(values, name):
    step = {"note_velocity": 7, "log10_decay_time": 0.1}[name]
    return np.floor((values - RANGES[name][0]) / step + 0.5)


def test_floor_is_the_error_of_the_bytes_and_baseline_that_of_the_training_mean(evaluation, saw):
    _, quantised, exact = split_of(saw, "test")
    mean = split_of(saw, "train")[2].mean(axis=0)
    for at, row in enumerate(evaluation.rows):
        assert row.floor == pytest.approx(np.abs(quantised - exact)[:, at].mean(), rel=1e-3)
        assert row.baseline == pytest.approx(np.abs(mean - exact)[:, at].mean(), rel=1e-5)
        assert row.share == pytest.approx(row.mae / row.baseline)
        assert row.floor < row.mae


def test_image_error_lies_between_its_floor_and_its_baseline(evaluation):
    error = evaluation.image_error
    assert 0 <= error.floor < 0.1 < error.predicted < 1.5 * error.baseline


def test_an_untrained_model_is_no_better_than_the_mean(saw):
    model = build_model(running.plain("train", "model"), read_spec(saw))
    with torch.no_grad():
        for name, parameter in model.heads.linear.named_parameters():
            parameter.zero_() if name == "weight" else parameter.fill_(0.1)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    evaluation = evaluate(model, VIMHDataModule(saw), trainer)
    assert all(0.8 < row.share < 1.3 for row in evaluation.rows)
    assert evaluation.image_error.predicted == pytest.approx(evaluation.image_error.baseline, rel=0.3)


def test_results_are_plain_and_survive_json(evaluation):
    plain = json.loads(evaluation.to_json())
    assert plain["metrics"] == evaluation.metrics
    assert plain["rows"][0]["mae"] == evaluation.rows[0].mae
    assert plain["image_error"] == dataclasses.asdict(evaluation.image_error)


def test_quantised_labels_have_a_floor_of_zero(trained, saw):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    rows = evaluate(load_checkpoint(trained.best), VIMHDataModule(saw, labels="quantised"), trainer).rows
    assert [row.floor for row in rows] == pytest.approx([0, 0], abs=1e-5)


def test_predicted_values_are_the_first_samples(trained, saw):
    model, dataset = load_checkpoint(trained.best), VIMHDataModule(saw).dataset("test")
    first = predict_values(model, dataset, 5)
    assert first.shape == (5, 2) and first.dtype == np.float64
    np.testing.assert_allclose(predict_values(model, dataset, 1000)[:5], first, rtol=1e-5)


def spec_of(shape=(1, 8, 8), **change):
    level = {"name": "level", "min": 0, "max": 1, "step": 0.1} | change
    return DatasetSpec("given", shape, ParameterSpace([ParameterSpec(**level), ParameterSpec(name="b", min=0, max=1)]))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (spec_of(shape=(1, 8, 9)), ["given: images (C, H, W) (1, 8, 9)", "(1, 8, 8)", "same spectral settings"]),
        (spec_of(max=2), ["level 0..2 lin", "level 0..1 lin", "same parameters"]),
        (spec_of(name="volume"), ["volume 0..1 lin", "level 0..1 lin"]),
        (spec_of(min=0.1, scale="log"), ["level 0.1..1 log"]),
        (DatasetSpec("given", (1, 8, 8), ParameterSpace(list(spec_of().space)[:1])), ["('level',)", "('level', 'b')"]),
    ],
)
def test_another_task_is_one_line_saying_what_differs(given, words):
    with pytest.raises(UserError) as raised:
        require_same_task(spec_of(), given)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_another_step_is_the_same_task():
    require_same_task(spec_of(), spec_of(step=0.05))
