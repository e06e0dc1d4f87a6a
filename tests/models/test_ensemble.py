"""Several models together: means of their answers, the variance of their values, and what they must share."""

import json

import numpy as np
import pytest
import torch

from src.data.info import read_spec
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.evaluate import load_others
from src.evaluation.split_outputs import run_split
from src.models.build import build_model, load_checkpoint
from src.models.ensemble import Answers, Ensemble, answers, combined
from src.models.heads.multi_head import Estimates
from src.utils.errors import UserError
from tests import running
from tests.evaluation.datasets import write_every_kind


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Three models with random weights of a dataset of all kinds of parameters, and images."""
    directory = tmp_path_factory.mktemp("kinds") / "vimh_every_kind"
    write_every_kind(directory)
    spec = read_spec(directory)
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        model = build_model(running.plain("train", "model"), spec).eval()
        calibration = model.heads.calibration
        calibration.width_weight.fill_(0.5 + seed)
        calibration.scale.fill_(1.1)
        models.append(model)
    return models, torch.rand(7, *spec.image_shape)


def test_a_single_model_answers_what_its_heads_say(members):
    models, images = members
    with torch.inference_mode():
        found = answers(models[0], images, None)
        outputs = models[0](images)
        torch.testing.assert_close(
            found.estimates.values, models[0].heads.estimates(outputs).values, rtol=1e-6, atol=1e-6
        )
        torch.testing.assert_close(found.levels, models[0].heads.levels(outputs))
    assert found.distances.isnan().all()


def test_values_are_means_and_variances_add(members):
    models, images = members
    with torch.inference_mode():
        each = [answers(model, images, None) for model in models]
        found = answers(Ensemble(models), images, None)
    space = models[0].spec.space
    for at, spec in enumerate(space):
        if spec.kind == "categorical":
            mean = torch.stack([one.probabilities[spec.name] for one in each]).mean(dim=0)
            np.testing.assert_allclose(found.probabilities[spec.name], mean, rtol=1e-6)
            np.testing.assert_array_equal(found.levels[:, at], mean.argmax(dim=1))
            np.testing.assert_allclose(found.estimates.uncertainties[:, at], 1 - mean.amax(dim=1), atol=1e-6)
            assert found.estimates.low_90[:, at].isnan().all()
            continue
        assert spec.scale == "lin"
        values = np.stack([one.estimates.values[:, at] for one in each])
        sd = np.stack([one.estimates.uncertainties[:, at] for one in each])
        np.testing.assert_allclose(found.estimates.values[:, at], values.mean(axis=0), rtol=1e-4, atol=1e-5)
        expected = np.sqrt((sd**2).mean(axis=0) + values.var(axis=0))
        np.testing.assert_allclose(found.estimates.uncertainties[:, at], expected, rtol=1e-4)
        half = 1.64485 / 1.1 * expected
        low = np.clip(values.mean(axis=0) - half, spec.min, spec.max)
        np.testing.assert_allclose(found.estimates.low_90[:, at], low, rtol=1e-3, atol=1e-3)


def test_equal_members_answer_as_one(members):
    models, images = members
    with torch.inference_mode():
        one = answers(models[1], images, None)
    found = combined([models[1]] * 4, [one] * 4)
    for mine, theirs in zip(found.estimates, one.estimates, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_distances_are_means_and_unknown_if_one_is(members):
    models, images = members
    with torch.inference_mode():
        one = answers(models[0], images, None)
    near, far = (one._replace(distances=torch.full((7,), distance)) for distance in (0.5, 2.5))
    assert isinstance(near, Answers) and isinstance(near.estimates, Estimates)
    assert (combined(models[:2], [near, far]).distances == 1.5).all()
    assert combined(models[:2], [near, one]).distances.isnan().all()


def test_members_of_another_dataset_are_refused(trained, members):
    models, _ = members
    with pytest.raises(UserError, match=r"^ensemble: .*best\.ckpt: .*"):
        load_others(models[0], [trained.best])


def test_eval_and_predict_take_an_ensemble(trained, saw, tmp_path, caplog):
    ensemble = f"ensemble=[{trained.best},{trained.best}]"
    running.run("predict", saw.parent, tmp_path / "predict", ensemble, f"input={saw}")
    assert (tmp_path / "predict/predictions.csv").exists()
    running.run("eval", saw.parent, tmp_path / "eval", ensemble, f"data.data_dir={saw}")
    assert (tmp_path / "eval/predictions.npz").exists()
    results = json.loads((tmp_path / "eval/test_results.json").read_text())
    assert [row["ratio"] for row in results["ensemble"]] == pytest.approx([1, 1], rel=1e-4)  # of equal members
    assert "| best member |" in (tmp_path / "eval/test_results.md").read_text()
    report = running.fault(caplog, "eval", saw.parent, tmp_path, ensemble, "report=true")
    assert report.startswith("ensemble: given with report, which needs a single model")
    for given, message in (
        ((ensemble, "ckpt_path=best"), "ensemble and ckpt_path: both given; give one of them"),
        ((f"ensemble=[{trained.best}]",), "give at least two files, as in ensemble=[a.ckpt,b.ckpt]"),
    ):
        assert message in running.fault(caplog, "predict", saw.parent, tmp_path, *given, f"input={saw}")


def test_an_ensemble_of_a_split_has_the_mean_values(trained, saw):
    model, dataset = load_checkpoint(trained.best), VIMHDataset(saw, "test")
    alone, together = run_split(model, dataset), run_split(Ensemble([model, model]), dataset)
    np.testing.assert_allclose(together.estimates.values, alone.estimates.values, rtol=1e-5)
    np.testing.assert_allclose(together.estimates.high_90, alone.estimates.high_90, rtol=1e-4)
