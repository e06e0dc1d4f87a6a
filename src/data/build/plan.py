"""Which samples a built dataset holds, and in which split: arrays of numbers, without any image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.data.recipe import SPLITS
from src.parameters.space import ParameterSpace
from src.utils.errors import UserError

TRAIN = SPLITS.index("train")


@dataclass(frozen=True)
class Plan:
    """The n samples of a built dataset, in order.

    `sample` (n,) int64 is each one's number in the pool, -1 if it is rendered. `partner` (n,) int64 is the number of
    the second one if it is the mean of two, otherwise -1. `values` (n, P) float32 are its labels in physical units, and
    `split` (n,) uint8 is an index into SPLITS.
    """

    sample: np.ndarray
    partner: np.ndarray
    values: np.ndarray
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, rows: np.ndarray) -> "Plan":
        """Return the plan of some samples: their numbers, or a mask (n,) bool."""
        return Plan(self.sample[rows], self.partner[rows], self.values[rows], self.split[rows])

    def with_split(self, split: np.ndarray) -> "Plan":
        """Return the plan with other splits (n,) uint8."""
        return Plan(self.sample, self.partner, self.values, split)

    def counts(self) -> dict[str, int]:
        """Return the number of samples of each split that has any; train, val and test in this order."""
        found = np.bincount(self.split, minlength=len(SPLITS))
        return {name: int(count) for name, count in zip(SPLITS, found, strict=True) if count}


def joined(plans: Sequence[Plan]) -> Plan:
    """Return the samples of several plans, one after the other."""
    columns = ([getattr(plan, name) for plan in plans] for name in ("sample", "partner", "values", "split"))
    return Plan(*map(np.concatenate, columns))


def added_to_train(values: np.ndarray, sample: np.ndarray | None = None, partner: np.ndarray | None = None) -> Plan:
    """Return a plan of training samples with labels (n, P); without `sample` they are rendered."""
    missing = np.full(len(values), -1, np.int64)
    split = np.full(len(values), TRAIN, np.uint8)
    return Plan(
        missing if sample is None else sample,
        missing if partner is None else partner,
        np.asarray(values, np.float32),
        split,
    )


def column_of(space: ParameterSpace, name: str, key: str) -> int:
    """Return the column of a varying parameter that the setting `key` names; raise UserError if there is none."""
    try:
        return space.index(name)
    except UserError as error:
        raise UserError(f"{key}: {error}") from error
