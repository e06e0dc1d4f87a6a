"""What decides a built dataset; see configs/build.yaml. Importing it takes no heavy library."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_FRACTIONS = ("val_fraction", "test_fraction")
Names = list[Annotated[str, Field(min_length=1)]]


class SplitConfig(BaseModel):
    """Which samples become train, val and test."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    method: Literal["keep", "random", "stratified"] = "keep"
    by: Names = []
    group: str | None = None
    val_fraction: float = Field(0.1, gt=0, lt=0.5)
    test_fraction: float = Field(0.1, gt=0, lt=0.5)
    folds: int | None = Field(None, ge=3, le=100)
    fold: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _check(self) -> "SplitConfig":
        if (self.folds is None) != (self.fold is None):
            raise ValueError("folds and fold belong together, as in split.folds=5 split.fold=0")
        if self.folds is not None and self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} given; give 0 to {self.folds - 1} with folds={self.folds}")
        if self.method == "keep" and (self.folds is not None or self.group or self.by):
            raise ValueError("folds, group and by need method=random or method=stratified")
        if self.method == "random" and self.by:
            raise ValueError("by needs method=stratified")
        usual = all(getattr(self, name) == type(self).model_fields[name].default for name in _FRACTIONS)
        if not usual and (self.method == "keep" or self.folds is not None):
            raise ValueError(f"{' and '.join(_FRACTIONS)} need method=random or method=stratified, without folds")
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each part into which the samples are divided: the splits, or the folds."""
        if self.folds is not None:
            return (1.0 / self.folds,) * self.folds
        return (1.0 - self.val_fraction - self.test_fraction, self.val_fraction, self.test_fraction)


class BalanceConfig(BaseModel):
    """How the cells of the training split get equal numbers of samples."""

    model_config = ConfigDict(extra="forbid")

    method: Literal["undersample", "oversample", "interpolate", "render"] | None = None
    by: Names = []
    bins: int = Field(16, ge=2, le=256)
    count: int | None = Field(None, ge=1, le=2**32)

    @model_validator(mode="after")
    def _check(self) -> "BalanceConfig":
        if (self.method is None) != (not self.by):
            raise ValueError("method and by belong together, as in balance.method=oversample balance.by=[waveform]")
        if self.method is None and self.count is not None:
            raise ValueError("count needs a method, as in balance.method=oversample balance.by=[waveform]")
        return self


class BuildConfig(BaseModel):
    """All settings that, with the sources, determine the bytes of a built dataset."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    sources: list[Annotated[str, Field(min_length=1)]] = Field(alias="from", min_length=1, max_length=1000)
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=180)
    filter: dict[str, list[Any]] | None = None
    drop: list[Literal["silent", "clipped", "duplicates"]] = []
    split: SplitConfig = SplitConfig()
    balance: BalanceConfig = BalanceConfig()
    seed: int = Field(0, ge=0, lt=2**64)

    @property
    def operations(self) -> dict[str, Any]:
        """What is done with the samples of the sources, as plain containers."""
        return self.model_dump(mode="json", include={"filter", "drop", "split", "balance"})
