"""The distribution of features against scikit-learn, its false alarms, and its place in checkpoints."""

import json

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from torch.nn import functional

from src.models.build import load_checkpoint, read_checkpoint, restore_model
from src.models.feature_distribution import (
    LEAST,
    FeatureDistribution,
    ValidationFeatures,
    described,
    description_size,
    fit,
    shrunk_covariance,
)
from src.utils.errors import UserError
from tests import running


def features(count, size=6, seed=0):
    """Draw correlated normal features, (count, size) float32, one of them never active."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).standard_normal((size, size))
    drawn = random.standard_normal((count, size)) @ mixing + 3.0
    drawn[:, -1] = 0.0
    return torch.from_numpy(drawn.astype(np.float32))


@pytest.mark.parametrize(("count", "size"), [(500, 6), (100, 40), (30, 60)])
def test_the_covariance_is_scikit_learns(count, size):
    drawn = features(count, size).double()
    expected = LedoitWolf().fit(drawn.numpy()).covariance_
    found = shrunk_covariance(drawn - drawn.mean(dim=0))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * abs(expected).max())


def test_distances_are_scikit_learns_relative_to_the_limit():
    drawn = features(800)
    distribution = FeatureDistribution(**fit(drawn))
    new = features(50, seed=2) + torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.01])
    deviation = drawn.double().std(dim=0, correction=0)
    deviation[-1] = 1e-3 * deviation.mean()
    scaled, others = ((one.double() / deviation).numpy() for one in (drawn, new))
    expected = np.sqrt(LedoitWolf().fit(scaled).mahalanobis(others))
    np.testing.assert_allclose(distribution.distances(new) * distribution.limit, expected, rtol=1e-3)


def test_a_description_is_the_features_and_the_means_of_rows_and_columns():
    image, vectors = torch.rand(3, 2, 64, 32), torch.rand(3, 5)
    found = described(image, vectors)
    assert found.shape == (3, description_size(5, 2)) == (3, 5 + 2 * 64)
    torch.testing.assert_close(found[:, :5], vectors)
    rows = image.mean(dim=3).reshape(3, 2, 32, 2).mean(dim=3).flatten(1)
    torch.testing.assert_close(found[:, 5:], torch.cat([rows, image.mean(dim=2).flatten(1)], dim=1))
    assert described(torch.rand(3, 1, 28, 1025), vectors).shape == (3, description_size(5, 1))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 8), (128, 87), (33, 500), (1, 1)])
def test_rows_and_columns_are_averaged_as_torch_does(height, width):
    images = torch.rand(3, 2, height, width)
    means = (images.mean(dim=3), images.mean(dim=2))
    expected = torch.cat([functional.adaptive_avg_pool1d(mean, 32).flatten(1) for mean in means], dim=1)
    torch.testing.assert_close(described(images, torch.empty(3, 0)), expected)


def test_one_in_a_hundred_new_sounds_is_beyond_the_limit():
    shares = []
    for seed in range(20):
        distribution = FeatureDistribution(**fit(features(500, seed=seed)))
        shares.append((distribution.distances(features(20_000, seed=100 + seed)) > 1).float().mean().item())
    assert np.mean(shares) == pytest.approx(0.01, abs=0.003)  # the limit of 500 sounds has an error of 0.4 %


@pytest.mark.parametrize(
    "given",
    [
        features(LEAST - 1),
        torch.ones(500, 6),
        features(500).index_fill(0, torch.tensor([7]), torch.nan),
        torch.empty(0, 6),
    ],
    ids=["few", "constant", "nan", "none"],
)
def test_sounds_that_do_not_determine_a_distribution_give_none(given):
    assert fit(given) == {}


def test_of_many_sounds_every_nth_is_used_and_a_process_without_a_sound_takes_part():
    few, many = ValidationFeatures(6, 500), ValidationFeatures(6, 12_500)
    for metric in (few, many):
        metric.update(features(300))
        metric.skip()
        metric.update(features(300, seed=1))
    assert len(torch.cat(few.features)) == 600 and len(torch.cat(many.features)) == 200
    torch.testing.assert_close(few.compute(), fit(torch.cat([features(300), features(300, seed=1)])))


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The checkpoint of a run with 102 validation sounds."""
    data, output = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run")
    running.run("train", data, output, "dataset.size=1024", "trainer.max_epochs=1", "test=false")
    return read_checkpoint(output / "checkpoints/best.ckpt")


@pytest.mark.long
def test_a_checkpoint_holds_the_distribution_of_its_validation(contents):
    held = contents["feature_distribution"]
    model = restore_model(contents)
    assert held["mean"].shape == (model.description_size,)
    torch.testing.assert_close(model.feature_distribution.to_dict(), held)


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": torch.zeros(3)}, "feature_distribution.mean: a tensor (3,) torch.float32 given"),
        ({"limit": torch.tensor(torch.nan)}, "feature_distribution.limit: a tensor () torch.float32 given"),
        ({"limit": torch.tensor(0.0)}, "feature_distribution.limit: 0 given; it must be above 0"),
        ({"code": torch.zeros(1)}, "feature_distribution: keys code, limit, mean, whitening given"),
    ],
)
def test_a_distribution_that_does_not_fit_is_refused(contents, change, message):
    with pytest.raises(UserError, match=r"^ckpt_path: ") as raised:
        restore_model(contents | {"feature_distribution": contents["feature_distribution"] | change})
    assert message in str(raised.value)


def test_a_checkpoint_of_an_older_version_has_none(trained):
    model = restore_model({key: value for key, value in read_checkpoint(trained.best).items() if "feature" not in key})
    assert model.feature_distribution is None
    assert load_checkpoint(trained.best).feature_distribution is None  # 13 validation sounds are too few


def test_published_areas_and_false_warnings_are_within_the_bounds():
    """Of each synth, kind of head and seed."""
    content = json.loads((running.ROOT / "benchmarks/ood.json").read_text())
    assert content["settings"]["seeds"] >= 3
    least = {"white noise": 0.99, "silence": 0.99, "another synth": 0.99, "3 semitones up": 0.98, "50 ms late": 0.98}
    for synth, runs in content["runs"].items():
        for run, rows in runs.items():
            assert 0.003 <= rows["test split"]["warned"] <= 0.017, (synth, run)
            for sounds, area in least.items():
                assert rows[sounds]["auroc"] >= area, (synth, run, sounds)
