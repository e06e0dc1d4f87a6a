"""The recipe of a dataset, which determines its bytes: the synth, the front end, the samples and their sampling."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from omegaconf import DictConfig
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from src.spectral.config import SpectralConfig
from src.synth.config import SynthConfig
from src.utils.errors import UserError, shown
from src.utils.invalid import describe
from src.utils.plain import to_plain

SPLITS = ("train", "val", "test")


class DatasetConfig(BaseModel):
    """The number of samples, how they are drawn and how they are split."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    size: int = Field(ge=3, le=2**40)
    seed: int = Field(0, ge=0, lt=2**64)
    sampling: Literal["random", "sobol", "grid"] = "random"
    val_fraction: float = Field(0.1, gt=0, lt=0.5)
    test_fraction: float = Field(0.1, gt=0, lt=0.5)
    shuffle: bool = False
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", description="null: src.data.names")

    @field_validator("sampling", mode="before")
    @classmethod
    def _accept_systematic(cls, value: Any) -> Any:
        return "grid" if value == "systematic" else value

    @model_validator(mode="after")
    def _check_counts(self) -> "DatasetConfig":
        if self.counts["train"] < 1:
            raise ValueError(f"val_fraction and test_fraction leave none of {self.size} clips for training")
        return self

    @property
    def counts(self) -> dict[str, int]:
        """The number of samples of each split, at least one."""
        val, test = (max(1, round(self.size * share)) for share in (self.val_fraction, self.test_fraction))
        return {"train": self.size - val - test, "val": val, "test": test}


class Recipe(BaseModel):
    """All settings that determine a dataset's bytes."""

    model_config = ConfigDict(extra="forbid")

    synth: SynthConfig
    spectral: SpectralConfig
    dataset: DatasetConfig

    def place(self) -> tuple[np.ndarray, np.ndarray]:
        """Return each sample's split (n,) uint8, an index into SPLITS, and its row there (n,) int64.

        Random samples have no order, so the splits are consecutive. A seeded permutation distributes other samples
        over the splits; with `shuffle` it is also the order of the rows.
        """
        config = self.dataset
        sizes = list(config.counts.values())
        split = np.repeat(np.arange(len(SPLITS), dtype=np.uint8), sizes)
        row = np.concatenate([np.arange(size) for size in sizes])
        if config.sampling == "random" and not config.shuffle:
            return split, row
        order = np.random.Generator(np.random.Philox(key=config.seed, counter=2**192)).permutation(config.size)
        shuffled_split, shuffled_row = np.empty_like(split), np.empty_like(row)
        shuffled_split[order], shuffled_row[order] = split, row
        if not config.shuffle:
            for index in range(len(SPLITS)):
                members = shuffled_split == index
                shuffled_row[members] = np.arange(members.sum())
        return shuffled_split, shuffled_row


def parse_recipe(config: Mapping[str, Any]) -> Recipe:
    """Check a dict {synth, spectral, dataset}; a UserError lists the faults with the keys' full names."""
    if isinstance(config, DictConfig):
        config = to_plain(config)
    try:
        return Recipe.model_validate(config)
    except ValidationError as error:
        raise UserError(describe(error)) from error


def first_difference(there: Any, wanted: Any, key: str = "") -> str | None:
    """Return the first key in which two configs, as in `Origin.generator`, differ, with both values; or None."""
    if isinstance(there, Mapping) and isinstance(wanted, Mapping):
        for name in [*wanted, *(name for name in there if name not in wanted)]:
            path = f"{key}.{name}".lstrip(".")
            if path != "dataset.name" and (found := first_difference(there.get(name), wanted.get(name), path)):
                return found
        return None
    return None if there == wanted else f"{key} = {_short(there)}, but {_short(wanted)} is given"


def _short(value: Any) -> str:
    """Return a value of a config as text; the text of a program would be too long for a message."""
    return shown(value, 200) if isinstance(value, str) and len(value) > 100 else str(value)
