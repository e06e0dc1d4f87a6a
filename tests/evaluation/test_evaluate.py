"""The figures of a test, each computed again from the files' bytes in float64."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning import Trainer
from scipy import stats

from src.data.info import read_spec
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec, Origin
from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.class_metrics import class_metrics
from src.evaluation.evaluate import (
    Evaluation,
    evaluate,
    label_rounding,
    require_same_targets,
)
from src.evaluation.rerender import rendering_source
from src.evaluation.split_outputs import predict_split, predict_values
from src.models.build import build_model, load_checkpoint
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests import running
from tests.evaluation.datasets import SPACE, write_every_kind

RANGES = {"note_velocity": (64, 127), "log10_decay_time": (-2, 0.3)}


def split_of(directory, split):
    """Parse a split by hand: images (n, 32, 32) and quantised and exact values (n, 2)."""
    records = np.frombuffer((directory / split).read_bytes(), np.uint8).reshape(-1, 15 + 2 * 2 + 32 * 32)
    low, high = np.array(list(RANGES.values())).T
    quantised = low + records[:, [16, 18]] / 255 * (high - low)
    return records[:, 19:].reshape(-1, 32, 32), quantised, np.load(directory / f"{split}_params.npy").astype(float)


@pytest.fixture(scope="module")
def evaluation(trained, saw) -> Evaluation:
    return evaluate(load_checkpoint(trained.best), VIMHDataModule(saw), quiet_trainer())


def predictions_of(trained, directory):
    """Return predicted values (n, 2) of the test split, one sound at a time, and the exact ones."""
    images, _, exact = split_of(directory, "test")
    model = load_checkpoint(trained.best)
    with torch.no_grad():
        values = [model.values(torch.from_numpy(image / 255)[None, None].float())[0] for image in images]
    return np.stack(values), exact


def test_errors_are_those_of_the_predictions(evaluation, trained, saw):
    values, exact = predictions_of(trained, saw)
    error = np.abs(values - exact)
    for at, row in enumerate(evaluation.rows):
        assert row.name == list(RANGES)[at]
        assert row.mae == pytest.approx(error[:, at].mean(), rel=1e-5)
        steps = np.abs(classes(values[:, at], row.name) - classes(exact[:, at], row.name))
        assert row.accuracy == pytest.approx((steps == 0).mean(), abs=1e-6)
        assert row.within_one_step == pytest.approx((steps <= 1).mean(), abs=1e-6)
        assert row.mae == pytest.approx(evaluation.metrics[f"test/{row.name}_mae"], rel=1e-5)
        assert row.accuracy == pytest.approx(evaluation.metrics[f"test/{row.name}_acc"], abs=1e-6)
        assert row.within_one_step == pytest.approx(evaluation.metrics[f"test/{row.name}_acc1"], abs=1e-6)
    spans = [high - low for low, high in RANGES.values()]
    assert evaluation.nmae == pytest.approx((error.mean(axis=0) / spans).mean(), rel=1e-5)
    assert evaluation.metrics["test/nmae"] == pytest.approx(evaluation.nmae, rel=1e-5)
    assert evaluation.num_samples == 13 and not evaluation.categories


def classes(values, name):
    step = {"note_velocity": 7, "log10_decay_time": 0.1}[name]
    return np.floor((values - RANGES[name][0]) / step + 0.5)


def test_baseline_is_the_error_of_the_training_mean_and_exact_labels_have_no_rounding_error(evaluation, saw):
    exact, mean = split_of(saw, "test")[2], split_of(saw, "train")[2].mean(axis=0)
    for at, row in enumerate(evaluation.rows):
        assert row.baseline == pytest.approx(np.abs(mean - exact)[:, at].mean(), rel=1e-5)
        assert row.relative_mae == pytest.approx(row.mae / row.baseline)
        assert row.label_rounding is None
        assert row.image_limit == read_spec(saw).origin.sensitivity[at].limit_mae
    assert evaluation.image_error.label_rounding is None


def test_every_figure_has_the_interval_of_scipys_bootstrap_or_wilsons(evaluation, trained, saw):
    """13 sounds: the percentiles of the expanded interval are those of a lower level, which scipy is asked for."""
    values, exact = predictions_of(trained, saw)
    count, mean = len(exact), split_of(saw, "train")[2].mean(axis=0)
    level = 1 - 2 * stats.norm.cdf(np.sqrt(count / (count - 1)) * stats.t.ppf(0.025, count - 1))
    for at, row in enumerate(evaluation.rows):
        error, baseline = np.abs(values - exact)[:, at], np.abs(mean - exact)[:, at]
        settings = {"paired": True, "confidence_level": level, "n_resamples": 9999, "method": "percentile", "rng": 0}
        for name, statistic in (
            ("mae", lambda a, b, axis: a.mean(axis=axis)),
            ("baseline", lambda a, b, axis: b.mean(axis=axis)),
            ("relative_mae", lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis)),
        ):
            theirs = stats.bootstrap((error, baseline), statistic, **settings).confidence_interval
            close = 0.12 * (theirs.high - theirs.low)  # 2,000 draws
            assert row.intervals[name] == pytest.approx((theirs.low, theirs.high), abs=close), name
        for name in ("accuracy", "within_one_step"):
            hits = round(getattr(row, name) * count)
            theirs = stats.binomtest(hits, count).proportion_ci(method="wilson")
            assert row.intervals[name] == pytest.approx((theirs.low, theirs.high), abs=1e-9)
        assert set(row.intervals) == {"mae", "baseline", "relative_mae", "accuracy", "within_one_step"}
    low, high = evaluation.nmae_interval
    assert low < evaluation.nmae < high


def test_image_error_is_that_of_all_test_sounds(evaluation, trained, saw):
    values, _ = predictions_of(trained, saw)
    images, spec = split_of(saw, "test")[0], read_spec(saw)
    again = [rendering_source(spec).images(one[None])[0][0, 0] for one in values.astype(np.float64)]
    difference = [
        np.abs(one.astype(np.float64) - image).mean() * 80 / 255 for one, image in zip(again, images, strict=True)
    ]
    error = evaluation.image_error
    assert error.mae == pytest.approx(np.mean(difference), rel=1e-4)
    assert error.intervals["mae"][0] < error.mae < error.intervals["mae"][1]
    assert error.mae < 1.5 * error.baseline and error.relative_mae == pytest.approx(error.mae / error.baseline)


def quiet_trainer(**options):
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, **options)


def test_a_limit_of_batches_and_another_batch_size_change_no_figure(evaluation, trained, saw):
    model = load_checkpoint(trained.best)
    other = evaluate(model, VIMHDataModule(saw, eval_batch_size=5), quiet_trainer(limit_test_batches=1))
    assert [row.mae for row in other.rows] == pytest.approx([row.mae for row in evaluation.rows], rel=1e-5)
    assert other.num_samples == 13


def test_an_untrained_model_is_no_better_than_the_mean(saw):
    model = build_model(running.plain("train", "model"), read_spec(saw))
    with torch.no_grad():
        for name, parameter in model.heads.linear.named_parameters():
            parameter.zero_() if name == "weight" else parameter.fill_(0.1)
    evaluation = evaluate(model, VIMHDataModule(saw), quiet_trainer())
    assert all(0.8 < row.relative_mae < 1.3 for row in evaluation.rows)
    assert evaluation.image_error.mae == pytest.approx(evaluation.image_error.baseline, rel=0.3)


def test_a_network_in_half_precision_is_tested_too(trained, saw):
    model = load_checkpoint(trained.best).to(torch.bfloat16)
    estimates, levels = predict_split(model, VIMHDataModule(saw).dataset("test"))
    assert np.isfinite(estimates.values).all() and levels.dtype == np.int64


def test_results_are_plain_and_survive_json(evaluation):
    plain = json.loads(evaluation.to_json())
    assert plain["metrics"] == evaluation.metrics
    assert plain["rows"][0]["mae"] == evaluation.rows[0].mae
    assert plain["rows"][0]["intervals"]["mae"] == list(evaluation.rows[0].intervals["mae"])
    assert plain["image_error"]["mae"] == evaluation.image_error.mae


def test_labels_from_bytes_have_the_rounding_error_of_uniform_values(trained, saw):
    """A quarter of the byte's step on average, which the exact values of 13 sounds confirm to about 30 %."""
    evaluation = evaluate(load_checkpoint(trained.best), VIMHDataModule(saw, labels="quantised"), quiet_trainer())
    _, quantised, exact = split_of(saw, "test")
    for at, row in enumerate(evaluation.rows):
        low, high = RANGES[row.name]
        assert row.label_rounding == pytest.approx((high - low) / 255 / 4, rel=0.01)
        assert row.label_rounding == pytest.approx(np.abs(quantised - exact)[:, at].mean(), rel=0.5)
    assert 0 < evaluation.image_error.label_rounding < 0.1


def test_rounding_error_follows_the_scale_and_the_kind_of_a_parameter():
    space = ParameterSpace(
        [
            ParameterSpec(name="cutoff", min=20, max=20000, scale="log"),
            ParameterSpec(name="octave", min=-3, max=3, step=0.7, kind="ordinal"),
            ParameterSpec(name="wave", min=0, max=3, kind="categorical"),
        ]
    )
    exact = space.sample(0, 0, 20_000).astype(np.float64)
    labels = space.from_byte(space.to_byte(exact))
    expected = np.abs(labels - exact).mean(axis=0)
    np.testing.assert_allclose(label_rounding(space, labels), expected, rtol=0.02, atol=1e-6)


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory):
    """Return the values of a dataset of all kinds of parameters, and the figures of random weights on it."""
    directory = tmp_path_factory.mktemp("kinds") / "vimh_every_kind"
    values = write_every_kind(directory)
    torch.manual_seed(1)
    model = build_model(running.plain("train", "model"), read_spec(directory))
    return values, evaluate(model, VIMHDataModule(directory), quiet_trainer())


def test_categories_are_scored_by_accuracy_and_other_kinds_by_errors(every_kind):
    values, evaluation = every_kind
    assert [row.name for row in evaluation.rows] == ["gain[/]", "$octave_"]
    assert evaluation.reliability == ()  # no validation has calibrated these weights
    assert [row.name for row in evaluation.categories] == ["wave :bomb:", "<script>alert(1)</script>"]
    assert evaluation.image_error is None
    relative = [row.mae / (SPACE.max - SPACE.min)[at] for row, at in zip(evaluation.rows, (0, 2), strict=True)]
    for row, at in zip(evaluation.categories, (1, 3), strict=True):
        true, known = (np.round(values[split][:, at] - SPACE.min[at]).astype(int) for split in ("test", "train"))
        matrix = row.confusion.matrix()
        np.testing.assert_array_equal(matrix.sum(axis=1), np.bincount(true, minlength=len(matrix)))
        assert row.accuracy == pytest.approx(np.trace(matrix) / 30)
        assert row.accuracy == pytest.approx(evaluation.metrics[f"test/{row.name}_acc"])
        assert row.baseline_accuracy == pytest.approx(np.mean(true == np.bincount(known).argmax()))
        assert set(row.intervals) == {"accuracy", "baseline_accuracy"}
        assert f"test/{row.name}_mae" not in evaluation.metrics
        relative.append(1 - row.accuracy)
        probabilities = evaluation.predictions.probabilities[row.name]
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(probabilities.argmax(axis=1), evaluation.predictions.level[:, at])
        np.testing.assert_allclose(1 - probabilities.max(axis=1), evaluation.predictions.sd[:, at], atol=1e-6)
        assert row.classes == class_metrics(probabilities, true, probabilities.argmax(axis=1))
    assert evaluation.nmae == pytest.approx(np.mean(relative))
    assert evaluation.metrics["test/nmae"] == pytest.approx(evaluation.nmae, rel=1e-5)
    assert json.loads(evaluation.to_json())["categories"][0]["confusion"]["categories"] == ["0", "1", "2", "3"]


def test_predicted_values_are_the_first_samples(trained, saw):
    model, dataset = load_checkpoint(trained.best), VIMHDataModule(saw).dataset("test")
    first = predict_values(model, dataset, 5)
    assert first.shape == (5, 2) and first.dtype == np.float64
    np.testing.assert_allclose(predict_values(model, dataset, 1000)[:5], first, rtol=1e-5)
    estimates, levels = predict_split(model, dataset, batch_size=3)
    np.testing.assert_allclose(estimates.values[:5], first, rtol=1e-5)
    np.testing.assert_array_equal(levels, dataset.spec.space.to_class(estimates.values))


def spec_of(shape=(1, 8, 8), **change):
    level = {"name": "level", "min": 0, "max": 1, "step": 0.1} | change
    space = ParameterSpace([ParameterSpec(**level), ParameterSpec(name="b", min=0, max=1)])
    return DatasetSpec("given", Inputs(shape), space, Origin(8e3, 1.0))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (spec_of(shape=(1, 8, 9)), ["given: images (C, H, W) are (1, 8, 9)", "(1, 8, 8)", "same spectral settings"]),
        (spec_of(max=2), ["level 0..2 lin", "level 0..1 lin", "same parameters"]),
        (spec_of(name="volume"), ["volume 0..1 lin", "level 0..1 lin"]),
        (spec_of(kind="ordinal"), ["level 0..1 lin ordinal", "level 0..1 lin continuous"]),
        (replace(spec_of(), origin=Origin(192e3, 1.0)), ["sample_rate = 8000", "192000", "same spectral settings"]),
        (replace(spec_of(), origin=Origin(8e3, 20.0)), ["duration = 1", "20"]),
        (spec_of(min=0.1, scale="log"), ["level 0.1..1 log"]),
        (
            DatasetSpec("given", Inputs((1, 8, 8)), ParameterSpace(list(spec_of().space)[:1])),
            ["the parameters level,", "level, b;"],
        ),
    ],
)
def test_another_task_is_one_line_saying_what_differs(given, words):
    with pytest.raises(UserError) as raised:
        require_same_targets(spec_of(), given)
    message = str(raised.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_another_step_is_the_same_task():
    require_same_targets(spec_of(), spec_of(step=0.05))


def test_labels_that_are_not_used_may_differ_but_images_may_not():
    require_same_targets(spec_of(), spec_of(name="volume"), labels=False)
    require_same_targets(spec_of(), replace(spec_of(), targets=None), labels=False)
    with pytest.raises(UserError, match="images"):
        require_same_targets(spec_of(), spec_of(shape=(1, 8, 9)), labels=False)
