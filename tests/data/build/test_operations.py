"""Plans of any settings: no sample twice unless it is repeated in train, whole groups, and the samples' own labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.build.config import BalanceConfig, BuildConfig, SplitConfig
from src.data.build.merge import open_pool
from src.data.build.operations import make_plan
from src.data.build.plan import TRAIN
from src.data.generate import generate
from src.data.recipe import SPLITS
from src.utils.errors import UserError
from tests.data.conftest import tiny_recipe

SPLIT = st.sampled_from(["keep", "random", "stratified"]).flatmap(
    lambda method: st.builds(
        SplitConfig,
        method=st.just(method),
        group=st.none() if method == "keep" else st.sampled_from([None, "note_velocity", "filter_cutoff"]),
        val_fraction=st.just(0.1) if method == "keep" else st.floats(0.1, 0.3),
        test_fraction=st.just(0.1) if method == "keep" else st.floats(0.1, 0.3),
    )
)
BALANCE = st.builds(
    BalanceConfig,
    method=st.sampled_from(["undersample", "oversample", "interpolate", "render"]),
    by=st.sampled_from([["note_velocity"], ["filter_cutoff", "note_velocity"]]),
    bins=st.integers(2, 5),
    count=st.none() | st.integers(1, 40),
)
CONFIGS = st.builds(
    BuildConfig,
    sources=st.just(["not read"]),
    filter=st.none() | st.floats(64, 90).map(lambda low: {"note_velocity": [low, None]}),
    drop=st.sampled_from([[], ["duplicates"]]),
    split=SPLIT,
    balance=st.just(BalanceConfig()) | BALANCE,
    seed=st.integers(0, 2**64 - 1),
)


@pytest.fixture(scope="module")
def pool(tiny, tmp_path_factory):
    """Two datasets of 150 samples, the first of them twice."""
    other = generate(tiny_recipe(**{"dataset.seed": 5, "dataset.name": "other"}), tmp_path_factory.mktemp("other"))[0]
    return open_pool([str(tiny), str(other), str(tiny)])[0]


@settings(max_examples=40)
@given(CONFIGS)
def test_a_plan_keeps_its_promises(pool, config):
    plan, changes = make_plan(pool, config)
    values, split_of_pool = pool.values(), [SPLITS.index(part.split) for part in pool.parts]
    copied = (plan.sample >= 0) & (plan.partner < 0)
    held_out = plan.split != TRAIN
    assert len(plan) == len(pool) + sum(changes.values())
    np.testing.assert_array_equal(plan.values[copied], values[plan.sample[copied]])
    # only train gets repeats, means and new sounds
    assert copied[held_out].all() and len(np.unique(plan.sample[held_out])) == held_out.sum()
    if config.balance.method != "oversample":
        assert len(np.unique(plan.sample[copied])) == copied.sum()
    trained = {row.tobytes() for row in plan.values[~held_out]}
    tested = {row.tobytes() for row in plan.values[held_out]}
    assert not trained & tested
    if config.filter:
        assert (plan.values[:, 0] >= np.float32(config.filter["note_velocity"][0])).all()
    if config.split.method == "keep":
        expected = np.array(split_of_pool)[pool.part_of(plan.sample[copied])]
        np.testing.assert_array_equal(plan.split[copied], expected)
    if config.split.group:
        at = pool.spec.space.index(config.split.group)
        classes = pool.spec.space.to_class(plan.values[copied])[:, at]
        pairs = set(zip(classes.tolist(), plan.split[copied].tolist(), strict=True))
        assert len(pairs) == len(np.unique(classes))
    elif config.split.method == "random" and not config.balance.method:
        shares = np.bincount(plan.split, minlength=3) / len(plan)
        assert np.abs(shares - config.split.shares).max() <= 2 / len(plan) + 1e-9  # a sample and its copy


def test_a_plan_without_test_samples_is_one_line(pool):
    with pytest.raises(UserError, match="none of them in val and test"):
        make_plan(pool, BuildConfig(sources=["x"], split=SplitConfig(method="random", group="source")))


def test_cells_that_cannot_be_filled_are_told(pool, caplog):
    balance = BalanceConfig(method="interpolate", by=["note_velocity", "filter_cutoff"], bins=16, count=60)
    make_plan(pool, BuildConfig(sources=["x"], balance=balance))
    assert "combinations of levels stay below 60 samples, since there are no more pairs" in caplog.text
