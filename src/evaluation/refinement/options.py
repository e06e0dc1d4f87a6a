"""The key `refine` of a config: how an answer is refined."""

from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from src.data.recipe import describe
from src.utils.errors import UserError, shown
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
    """Return what a config's `refine` says, a number of iterations or a mapping; None for 0 iterations or null.

    Raises UserError for other values.
    """
    given: Any = to_plain(OmegaConf.masked_copy(config, ["refine"]))["refine"]
    if isinstance(given, bool) or not isinstance(given, int | dict | None):
        raise UserError(f"refine: {shown(given)} given; give a number of iterations, as in refine=5")
    settings = {"iterations": given} if isinstance(given, int) else given
    if not settings:
        return None
    if settings.get("iterations") == 0:
        if make_options(**settings | {"iterations": 1}) != Options(iterations=1):
            raise UserError("refine.iterations: 0 given beside other keys of refine; also give refine.iterations=5")
        return None
    return make_options(**settings)


def make_options(**settings: Any) -> Options:
    """Return the options of these settings; raise UserError for a value that is not allowed."""
    try:
        return Options(**settings)
    except ValidationError as error:
        raise UserError(f"refine.{describe(error)}") from error
