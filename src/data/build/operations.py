"""What is done with the samples of a pool: filter, drop, split, balance; the result is a plan."""

import logging
from collections.abc import Iterable

import numpy as np

from src.data.build.balance import categories_alike, cells_of, close_pairs, draw_missing, oversample, undersample
from src.data.build.clips import file_groups
from src.data.build.config import BalanceConfig, BuildConfig, SplitConfig
from src.data.build.filter import Conditions, content_keys, matches, unwanted
from src.data.build.mean import require_power
from src.data.build.plan import TRAIN, Plan, added_to_train, column_of, joined
from src.data.build.pool import Pool
from src.data.build.splits import fold_splits, levels, stratify
from src.data.groups import joined_groups
from src.data.overlap import hash_rows
from src.data.recipe import SPLITS
from src.parameters.codec import to_class
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError

log = logging.getLogger(__name__)


def make_plan(pool: Pool, config: BuildConfig) -> tuple[Plan, dict[str, int]]:
    """Return which samples the built dataset holds, and how many each operation has removed or added.

    Nothing is added to val and test, and balancing changes train alone. Raises UserError if no sample of train or test
    is left, or if an operation does not fit the datasets.
    """
    space = pool.spec.space
    plan, changes = _everything(pool), {}
    if config.filter:
        kept = matches(space, plan.values, config.filter)
        changes["filtered"] = -int((~kept).sum())
        plan = plan.take(kept)
    if config.drop:
        found = unwanted(pool, plan.sample, plan.values, config.drop)
        changes |= {kind: -int(rows.sum()) for kind, rows in found.items()}
        plan = plan.take(~np.any(list(found.values()), axis=0))
    if config.split.method != "keep" and len(plan):
        plan = plan.with_split(_split(pool, plan, config.split, config.seed))
    _require_splits(plan, ("train", "test") if config.split.method == "keep" else SPLITS)
    if config.balance.method:
        balanced = _balance(pool, plan, config.balance, config.filter or {}, config.seed)
        _warn_of_small_cells(space, plan, balanced, config.balance)
        changes[config.balance.method] = len(balanced) - len(plan)
        plan = balanced
    return plan, changes


def _everything(pool: Pool) -> Plan:
    split = [np.full(len(part.dataset), SPLITS.index(part.split), np.uint8) for part in pool.parts]
    nothing = np.full(len(pool), -1, np.int64)
    return Plan(np.arange(len(pool)), nothing, pool.values(), np.concatenate(split))


def _require_splits(plan: Plan, splits: Iterable[str]) -> None:
    missing = [split for split in splits if split not in plan.counts()]
    if missing:
        raise UserError(
            f"split: {len(plan):,} samples remain, none of them in {' and '.join(missing)}; filter or drop fewer, "
            "or give split.method=stratified or smaller groups"
        )


def _split(pool: Pool, plan: Plan, config: SplitConfig, seed: int) -> np.ndarray:
    """Return a new split of each sample (n,) uint8; copies of one sample are never separated."""
    space = pool.spec.space
    columns = (
        [column_of(space, name, "split.by") for name in config.by or space.names]
        if config.method == "stratified"
        else []
    )
    keys = [content_keys(pool, plan.sample, plan.values)]
    if config.group:
        keys.append(_group_keys(pool, plan, config.group))
    parts = stratify(levels(space, plan.values)[0][:, columns], joined_groups(*keys), config.shares, seed)
    if config.folds is None or config.fold is None:
        return parts
    return fold_splits(parts, config.folds, config.fold)


def _group_keys(pool: Pool, plan: Plan, group: str) -> np.ndarray:
    if group == "source":
        return np.array([part.source for part in pool.parts])[pool.part_of(plan.sample)]
    if group == "file":
        return file_groups(pool)[plan.sample]
    at = column_of(pool.spec.space, group, "split.group")
    return to_class(pool.spec.space.varying[at], plan.values[:, at].astype(np.float64))


def _balance(pool: Pool, plan: Plan, config: BalanceConfig, conditions: Conditions, seed: int) -> Plan:
    """Return a plan whose training samples are balanced; new ones come after all others."""
    space, rows = pool.spec.space, np.flatnonzero(plan.split == TRAIN)
    train = plan.take(rows)
    cell, _ = cells_of(space, train.values, config.by, config.bins)
    if config.method == "undersample":
        kept = plan.split != TRAIN
        kept[rows[undersample(cell, config.count, seed)]] = True
        return plan.take(kept)
    if config.method == "oversample":
        return joined([plan, train.take(oversample(cell, config.count, seed))])
    if config.method == "interpolate":
        require_power(pool.spec.origin.spectral, pool.has_ranges)
        unit = space.normalize(train.values)
        pairs = close_pairs(cell, unit, categories_alike(space, train.values), config.count, seed)
        means = space.denormalize(unit[pairs].mean(axis=1))
        return joined([plan, added_to_train(means, train.sample[pairs[:, 0]], train.sample[pairs[:, 1]])])
    taken = hash_rows(plan.values)
    drawn = draw_missing(space, train.values, config.by, config.bins, config.count, conditions, taken, seed)
    return joined([plan, added_to_train(drawn)])


def _warn_of_small_cells(space: ParameterSpace, before: Plan, after: Plan, config: BalanceConfig) -> None:
    """Warn if cells with samples stay below the number that was asked for."""
    old, new = (
        np.bincount(cells_of(space, plan.values[plan.split == TRAIN], config.by, config.bins)[0])
        for plan in (before, after)
    )
    wanted = old.max() if config.count is None else config.count
    small = np.count_nonzero((new > 0) & (new < wanted))
    if small and config.method in ("interpolate", "render"):
        log.warning(
            "balance: %d combinations of levels stay below %d samples, since there are no more %s",
            *(small, wanted, "labels for them" if config.method == "render" else "pairs of samples in them"),
        )
