"""HeadMetrics against float64 numpy, whatever the batches."""

import numpy as np
import pytest
import torch

from src.models.heads.metrics import HeadMetrics, TermMeans
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=-2, max=6, step=0.5),
        ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log"),
        ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
    ]
)
ALL = torch.ones(3)


def sample(count, seed=0):
    """Return random predictions (n, P), levels (n, P), targets (n, P) in [0, 1] and per-sample losses (n, P)."""
    rng = np.random.default_rng(seed)
    target = rng.uniform(0, 1, (count, 3)).astype(np.float32)
    values = SPACE.denormalize(rng.uniform(0, 1, (count, 3))).astype(np.float32)
    levels = SPACE.to_class(SPACE.denormalize(target)) + rng.integers(-3, 4, (count, 3))
    return values, levels, target, rng.exponential(1, (count, 3)).astype(np.float32)


def feed(metrics, values, levels, target, losses, batches):
    start = 0
    for size in batches:
        part = slice(start, start + size)
        given = [torch.from_numpy(array[part]) for array in (values, levels, target)]
        metrics.update(*given, torch.from_numpy(losses[part].mean(axis=0)))
        start += size
    assert start == len(values)


def figures(metrics):
    return {name: value.item() for name, value in metrics.compute().items()}


def expected(values, levels, target, losses):
    truth = SPACE.denormalize(target)
    difference = values.astype(np.float64) - truth
    error = np.abs(difference).mean(axis=0)
    distance = np.abs(levels - SPACE.to_class(truth))
    wrong = np.mean(distance[:, 2] != 0)
    results = {"nmae": np.mean([error[0] / 8, error[1] / 4950, wrong])}
    for at, name in enumerate(SPACE.names):
        results[f"{name}_acc"] = np.mean(distance[:, at] == 0)
        results[f"{name}_loss"] = losses[:, at].astype(np.float64).mean()
        if name != "wave":  # a category
            results[f"{name}_mae"] = error[at]
            results[f"{name}_rmse"] = np.sqrt((difference[:, at] ** 2).mean())
            results[f"{name}_acc1"] = np.mean(distance[:, at] <= 1)
    return results


@pytest.mark.parametrize("batches", [[1000], [1, 7, 512, 479, 1], [333, 333, 334]])
def test_matches_numpy_in_any_batches(batches):
    data = sample(1000)
    metrics = HeadMetrics(SPACE, ALL)
    feed(metrics, *data, batches)
    found = figures(metrics)
    assert found == pytest.approx(expected(*data), rel=2e-6)
    assert list(found) == metrics.names


@pytest.mark.parametrize(("category", "nmae"), [(0, 0.1), (1, (0.1 + 0.2 + 1) / 3), (3, (0.1 + 0.2 + 1) / 3)])
def test_nmae_is_the_mean_over_heads_of_mae_over_range_and_a_wrong_category_is_wrong_whichever_it_is(category, nmae):
    metrics = HeadMetrics(SPACE, ALL)
    values = torch.tensor([[-2 + 0.8, 50 + 990.0, float(category)]])  # the first two are off by 10 % and 20 %
    metrics.update(values, torch.tensor([[0, 0, category]]), torch.zeros(1, 3), torch.zeros(3))
    assert metrics.compute()["nmae"].item() == pytest.approx(nmae, rel=1e-6)


def test_nmae_leaves_out_heads_that_are_not_trained_and_ignores_weights_otherwise():
    metrics = HeadMetrics(SPACE, torch.tensor([0.0, 7.0, 0.1]))
    values = torch.tensor([[-2 + 4.0, 50 + 990.0, 0.0]])  # off by 50 %, 20 % and 0 % of their ranges
    metrics.update(values, torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 3), torch.zeros(3))
    found = figures(metrics)
    assert found["nmae"] == pytest.approx(0.1, rel=1e-6)
    assert found["level_mae"] == found["level_rmse"] == pytest.approx(4.0, rel=1e-6)  # but these are given


def test_reset_forgets_everything():
    metrics = HeadMetrics(SPACE, ALL)
    feed(metrics, *sample(50, seed=1), [50])
    figures(metrics)
    metrics.reset()
    data = sample(80, seed=2)
    feed(metrics, *data, [80])
    assert figures(metrics) == pytest.approx(expected(*data), rel=2e-6)


def test_merging_two_processes_gives_the_figures_of_all_samples():
    data = sample(100)
    halves = [HeadMetrics(SPACE, ALL), HeadMetrics(SPACE, ALL)]
    feed(halves[0], *(array[:31] for array in data), [31])
    feed(halves[1], *(array[31:] for array in data), [40, 29])
    halves[0].merge_state(halves[1])
    assert figures(halves[0]) == pytest.approx(expected(*data), rel=2e-6)


@pytest.mark.parametrize("batches", [[100], [1, 7, 91, 1], [33, 33, 34]])
def test_term_means_match_numpy_in_any_batches(batches):
    losses = np.random.default_rng(0).exponential(1, (100, 2)).astype(np.float32)
    means = TermMeans(["", "level/near"])
    assert means.names == ["", "level/near"]
    for _ in range(2):  # the second time after a reset
        for part in np.split(losses, np.cumsum(batches)[:-1]):
            means.update(torch.from_numpy(part.mean(axis=0)), len(part))
        expected = dict(zip(("", "level/near"), losses.astype(np.float64).mean(axis=0), strict=True))
        assert figures(means) == pytest.approx(expected, rel=1e-6)
        means.reset()


def test_merging_the_term_means_of_two_processes_counts_every_example_once():
    halves = [TermMeans(["a"]), TermMeans(["a"])]
    halves[0].update(torch.tensor([2.0]), 30)
    halves[1].update(torch.tensor([6.0]), 10)
    halves[0].merge_state(halves[1])
    assert figures(halves[0]) == {"a": 3.0}
