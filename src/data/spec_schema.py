"""The schema of a DatasetSpec in checkpoints, and the types that it shares with a dataset's JSON."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from src.data.recipe import Recipe
from src.parameters.spec import ParameterSpec, Word
from src.spectral.config import MOST_SAMPLES, SpectralConfig, check_pixels

MOST_MAP_CLASSES = 255  # a map stores a class as one byte
_MOST_COUNTED = 2**48
_LONGEST_NAME = 200
_SEPARATORS = "/\\:"


def check_name(name: str) -> str:
    """Return a dataset's name if it is valid for a directory; raise ValueError for a path or an unprintable name."""
    if not name.isprintable() or set(name) & set(_SEPARATORS) or name in (".", ".."):
        raise ValueError("a name is printable, without / \\ : and not . or ..")
    return name


def as_name(text: str) -> str:
    """Return a directory's name with underscores for characters that a dataset's name cannot contain."""
    return "".join(char if char.isprintable() and char not in _SEPARATORS else "_" for char in text)[:_LONGEST_NAME]


DatasetName = Annotated[str, Field(max_length=_LONGEST_NAME), AfterValidator(check_name)]
Size = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0, le=_MOST_COUNTED)]
SampleRate = Annotated[float, Field(gt=0, le=1e6)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Sensitivity(BaseModel):
    """How strongly one parameter changes the image; src.data.sensitivity measures it."""

    model_config = ConfigDict(allow_inf_nan=False)

    name: Word
    step_levels: float
    range_levels: float
    blind: bool
    unmoved: float = 0.0  # older datasets lack this field and the following
    range_db: float = 0.0
    cause: str = Field("", max_length=2000)
    limit_mae: float | None = None  # least mean absolute error from the image, in the unit; src.data.limits measures it
    limit_median: float | None = None  # of the least standard deviation over the clips, as a fraction of the range
    limit_90: float | None = None  # nine in ten clips have a smaller one


class PlainSpec(BaseModel):
    """The keys of `DatasetSpec.to_dict`; `inputs` is missing in older checkpoints."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Annotated[DatasetName, Field(min_length=1)]
    image_shape: tuple[Size, Size, Size]
    inputs: dict[str, Any] = {}  # what src.data.inputs.Inputs holds besides the shape
    parameters: Annotated[list[ParameterSpec], Field(max_length=4096)]
    counts: dict[Literal["train", "val", "test"], Count] = {}
    sample_rate: SampleRate | None = None
    duration: Seconds | None = None
    synth_type: Word = "unknown"
    spectral: SpectralConfig | None = None
    metadata_bytes: Literal[6, 14] | None = None
    generator: dict[str, Any] | None = None
    sensitivity: list[Sensitivity] = []
    sha256: dict[Word, Word] = {}
    map_classes: Annotated[tuple[Word, ...], Field(max_length=MOST_MAP_CLASSES)] = ()

    @model_validator(mode="after")
    def _check(self) -> "PlainSpec":
        varying = sum(not parameter.is_fixed for parameter in self.parameters)
        if self.parameters and not 1 <= varying <= 255:
            raise ValueError(f"{varying} parameters vary; a dataset has 1 to 255 varying parameters")
        check_sizes(self.image_shape, self.sample_rate, self.duration)
        spectral = self.spectral
        if spectral and (len(spectral.channels), spectral.height, spectral.width) != self.image_shape:
            raise ValueError(f"spectral makes other images than {self.image_shape} (C, H, W)")
        self._check_origin()
        return self

    def _check_origin(self) -> None:
        """Raise ValueError if the recipe of a dataset of this program contradicts the rest of the description."""
        try:
            recipe = Recipe.model_validate((self.generator or {}).get("config"))
        except ValidationError:  # missing, or of another version, which cannot be rendered here either
            return
        synth, own = recipe.synth, {parameter.name: parameter for parameter in self.parameters}
        stated: dict[str, Any] = {"sample_rate": self.sample_rate, "duration": self.duration, "spectral": self.spectral}
        made: dict[str, Any] = {
            "sample_rate": synth.sample_rate,
            "duration": synth.duration,
            "spectral": recipe.spectral,
        }
        for name, entry in synth.parameters.items():
            value, names = entry.get("value"), entry.get("values")
            if isinstance(value, str) or (value is None and names is not None):  # categories by name
                made[name] = (value,) if isinstance(value, str) else tuple(names or ())
                stated[name] = own[name].values if name in own else None
                continue
            made[name] = (entry.get("min"), entry.get("max")) if value is None else (value, value)
            stated[name] = (own[name].min, own[name].max) if name in own else None
        for key, value in made.items():
            if stated[key] != value:
                raise ValueError(f"generator.config: {key} is {value}, but {stated[key]} in the description")


def check_sizes(image_shape: tuple[int, int, int], sample_rate: float | None, duration: float | None) -> None:
    """Raise ValueError for images (C, H, W) that are too large, or clips without samples or with too many."""
    check_pixels(*image_shape)
    if sample_rate and duration and not 1 <= sample_rate * duration <= MOST_SAMPLES:
        raise ValueError(
            f"duration {duration:g} s at sample_rate {sample_rate:g} Hz: a clip holds 1 to {MOST_SAMPLES} samples"
        )
