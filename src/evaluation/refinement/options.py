"""The key `refine` of a config: how an answer is refined."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from src.utils.errors import UserError, shown
from src.utils.invalid import describe
from src.utils.plain import to_plain


class Options(BaseModel):
    """How to refine; see configs/predict.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iterations: int = Field(ge=1, le=1000)
    method: Literal["lm", "adam"] = "lm"
    residual: Literal["db", "magnitude"] | None = Field(None, description="null: db for images, magnitude for sounds")
    starts: int = Field(1, ge=1, le=1000)
    init: Literal["network", "random"] = "network"


def parse_options(config: DictConfig) -> Options | None:
    """Return what a config's `refine` says; see `make_options`."""
    return make_options(to_plain(OmegaConf.masked_copy(config, ["refine"]))["refine"])


def make_options(given: Any) -> Options | None:
    """Return the options of a number of iterations, or of a mapping; None for 0 iterations or None.

    Raises UserError for other values.
    """
    if isinstance(given, bool) or not isinstance(given, Integral | Mapping | None):
        raise UserError(f"refine: {shown(given)} given; give a number of iterations, as in refine=5")
    settings = {"iterations": int(given)} if isinstance(given, Integral) else dict(given or {})
    if settings.setdefault("iterations", 0) != 0:
        return _validated(settings)
    if _validated(settings | {"iterations": 1}) != Options(iterations=1):
        raise UserError("refine.iterations: 0 given beside other keys of refine; also give refine.iterations=5")
    return None


def _validated(settings: dict[str, Any]) -> Options:
    try:
        return Options.model_validate(settings)
    except ValidationError as error:
        raise UserError(f"refine.{describe(error)}") from error
