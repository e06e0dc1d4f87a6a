"""Coverage of known intervals against counting and scipy, and of trained heads against what is promised."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from src.data.vimh_dataset import VIMHDataset
from src.evaluation.calibration import coverages, measure_coverage, table_of
from src.models.build import load_checkpoint
from src.models.heads.calibration import BANDS
from src.models.heads.multi_head import Estimates
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests import running

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=-2, max=6, step=0.5, unit="dB"),
        ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
        ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log", unit="Hz"),
    ]
)
COUNT = 2000


def drawn(width=1.0, constant=False):
    """Return true values (n, P) and estimates whose errors are normal, with the uncertainty times `width`."""
    rng = np.random.default_rng(0)
    truth = SPACE.denormalize(rng.uniform(0, 1, (COUNT, 3)))
    sigma = np.full((COUNT, 3), 0.3) if constant else rng.gamma(2, 0.15, (COUNT, 3))
    values = truth + sigma * rng.standard_normal((COUNT, 3))
    ends = [values + sign * width * z * sigma for z in (0.99446, 1.64485) for sign in (-1, 1)]
    for end in ends:
        end[:, 1] = np.nan
    return truth, Estimates(values, width * sigma, *ends)


def test_coverage_is_the_share_within_the_intervals_and_its_bounds_are_wilsons():
    truth, estimates = drawn()
    level, cutoff = coverages(SPACE, truth, estimates)
    assert (level.name, cutoff.name, level.count) == ("level", "cutoff", COUNT)  # a category has no interval
    inside = (estimates.low_90[:, 0] <= truth[:, 0]) & (truth[:, 0] <= estimates.high_90[:, 0])
    assert level.intervals[1] == inside.mean() == pytest.approx(0.9, abs=0.02)
    assert level.intervals == level.normal  # these intervals are the normal ones
    p, z = inside.mean(), stats.norm.ppf(0.975)
    middle = (p + z**2 / (2 * COUNT)) / (1 + z**2 / COUNT)
    half = z / (1 + z**2 / COUNT) * np.sqrt(p * (1 - p) / COUNT + z**2 / (4 * COUNT**2))
    assert level.bounds[1] == pytest.approx((middle - half, middle + half))
    ranks = [stats.rankdata(one) for one in (abs(estimates.values - truth)[:, 0], estimates.uncertainties[:, 0])]
    assert level.rank_correlation == pytest.approx(np.corrcoef(ranks)[0, 1]) and level.rank_correlation > 0.3
    assert level.half_width == pytest.approx(1.64485 * estimates.uncertainties[:, 0].mean())
    least_certain = np.argsort(estimates.uncertainties[:, 0])[-COUNT // 4 :]
    assert level.least_certain == pytest.approx(inside[least_certain].mean())
    relative = estimates.uncertainties[:, 2] / estimates.values[:, 2]  # of a logarithmic scale
    rounding = 1e-6 * (5000 - 50)
    low, high = estimates.low_90[:, 2] - rounding, estimates.high_90[:, 2] + rounding
    inside = (low <= truth[:, 2]) & (truth[:, 2] <= high)
    assert cutoff.least_certain == pytest.approx(inside[np.argsort(relative)[-COUNT // 4 :]].mean())
    assert not dataclasses.replace(level, least_certain=0.79).is_within_bounds


@pytest.mark.parametrize(("width", "honest"), [(0.5, False), (1.0, True), (2.0, False)])
def test_uncertainties_that_are_too_small_or_too_large_are_not_honest(width, honest):
    assert all(row.is_within_bounds == honest for row in coverages(SPACE, *drawn(width)))


def test_an_uncertainty_that_is_always_the_same_ranks_nothing():
    level, cutoff = coverages(SPACE, *drawn(constant=True))
    assert np.isnan(level.rank_correlation) and np.isnan(cutoff.rank_correlation) and np.isnan(level.least_certain)


def test_the_end_of_the_range_is_within_an_interval_that_ends_there_in_float32():
    space = ParameterSpace([ParameterSpec(name="x", min=0.3, max=0.85, step=0.1)])
    truth = np.array([[0.3], [0.85]])
    ends = [np.float32(one).astype(float) for one in ([[0.3], [0.7]], [[0.4], [0.85]])]
    (row,) = coverages(space, truth, Estimates(truth, truth, *ends, *ends))
    assert row.intervals == (1.0, 1.0)


def test_the_table_marks_what_is_not_honest():
    rows = coverages(SPACE, *drawn())
    long = dataclasses.replace(rows[0], name="log10_sustain_level", rank_correlation=float("nan"))
    whole = dataclasses.replace(long, intervals=(1.0, 1.0), bounds=((0.998, 1.0), (0.998, 1.0)), normal=(1.0, 1.0))
    _, cells = table_of([("gaussian", rows), ("weighted_cross_entropy", [long, whole])])
    (share, (low, high)) = rows[0].intervals[1], rows[0].bounds[1]
    assert cells[1][2] == f"{100 * share:.1f} ({100 * low:.1f}-{100 * high:.1f})"
    names = ["gaussian", "level", "cutoff", "weighted_cross_entropy", "log10_sustain_level", "log10_sustain_level *"]
    assert [row[0] for row in cells] == names


def published():
    """Return (synth, kind of head, row) for each row of the published coverages."""
    content = json.loads((running.ROOT / "benchmarks/calibration.json").read_text())
    for synth, kinds in content["coverage"].items():
        for kind, rows in kinds.items():
            yield from ((synth, kind, row) for row in rows)


def test_published_coverages_are_of_all_heads_and_within_the_bounds():
    kinds = {path.stem for path in (running.CONFIGS / "heads").glob("*.yaml")}
    assert {kind for _, kind, _ in published()} == kinds
    for synth, kind, row in published():
        for share, (low, high) in zip(row["intervals"], BANDS, strict=True):
            assert low <= share <= high, (synth, kind, row)
        for share, (low, high) in zip(row["normal"], BANDS, strict=True):  # which nothing but `scale` adjusts
            hits = stats.binomtest(round(share * row["count"]), row["count"]).proportion_ci(0.95, "wilson")
            assert hits.low <= high and hits.high >= low, (synth, kind, row)
        assert abs(row["intervals"][1] - 0.9) < 0.025, (synth, kind, row)  # 2,048 sounds each to calibrate and test
        assert row["least_certain"] is None or row["least_certain"] >= 0.8, (synth, kind, row)
        coverage, _, least_certain = row["splits"]["fitted"]
        assert abs(coverage - 0.9) < 0.005 and (least_certain is None or least_certain >= 0.8), (synth, kind, row)


@pytest.mark.slow
@pytest.mark.parametrize("heads", ["classification", "soft", "gaussian", "regression"])
def test_what_trained_heads_promise_holds_on_sounds_that_they_have_not_seen(tmp_path, heads):
    """Two epochs on the 13,107 sounds of a small voice, calibrated on 1,638 others and judged on the rest."""
    given = ("trainer=cpu", f"heads={heads}", "dataset.size=16384", "data.batch_size=128", "logger=none", "test=false")
    running.run("train", tmp_path, tmp_path / "run", *given, "trainer.max_epochs=4", "seed=0", whole=True)
    model = load_checkpoint(tmp_path / "run/checkpoints/best.ckpt")
    (directory,) = tmp_path.glob("vimh-*")
    rows = measure_coverage(model, VIMHDataset(directory, "test"))
    assert [row.name for row in rows] == ["note_velocity", "log10_decay_time"]
    for row in rows:
        assert row.count == 1638 and row.is_within_bounds, row
