"""The recipe of a dataset from its description. It comes from a file, so the code that it names must be trusted."""

import math
from collections.abc import Iterable

from src.data.recipe import Recipe, parse_recipe
from src.data.source import BLOCK, Source, load_source
from src.data.spec import DatasetSpec
from src.synth.sources import require_source
from src.utils.errors import UserError
from src.utils.trust import trusted_paths

_MOST_PIXELS = 2**29  # of a dataset that is generated from a file's recipe, and so bytes
_MOST_VALUES = 2**32  # samples of its sounds and frames: a minute on two cores
_VALUES_PER_CLIP = 2**13  # that take as long as the rest of a clip's work
_MEASURED = 20 * BLOCK  # clips that are rendered to measure a parameter's effect and limit, if a cause is found soon


def recipe_of(spec: DatasetSpec, trust: Iterable[str] = ()) -> Recipe:
    """Return the recipe in a dataset's description; raise UserError if there is none or its voice is not trusted.

    `trust` lists dotted paths of the user's own voices or of their modules. A voice is imported and called with
    settings from the file.
    """
    if spec.origin.recipe is None:
        raise UserError(f"{spec.name}: its description has no recipe for its sounds")
    recipe = parse_recipe(spec.origin.recipe)
    require_source(recipe.synth.voice, recipe.synth.source, trusted_paths(trust))
    return recipe


def source_of(spec: DatasetSpec, trust: Iterable[str] = ()) -> Source:
    """Return a dataset's source; raise UserError as `recipe_of`, or if its recipe and its description disagree."""
    source = load_source(recipe_of(spec, trust))
    synth, front_end = source.synth, source.front_end
    made = [(parameter.name, parameter.min, parameter.max, parameter.scale) for parameter in synth.space]
    stated = [(parameter.name, parameter.min, parameter.max, parameter.scale) for parameter in spec.space]
    samples = (front_end.sample_rate, front_end.num_samples)
    rate, duration = spec.origin.sample_rate, spec.origin.duration
    stated_samples = (rate, round((duration or 0.0) * (rate or 0.0)))
    if made != stated or samples != stated_samples or front_end.image_shape != spec.image_shape:
        raise UserError(
            f"{spec.name}: its recipe does not match the parameters, sounds or images that its description states"
        )
    return source


def recipe_to_make(spec: DatasetSpec, trust: Iterable[str] = ()) -> Recipe:
    """Return the recipe that generates a dataset again under its name.

    Raises UserError as `source_of`, if the dataset was built from others, and if it is large, since its size comes from
    the file.
    """
    if "built" in (spec.origin.generator or {}):
        raise UserError(
            f"{spec.name}: was built from other datasets; copy it here, or build it again with build_dataset.py"
        )
    source = source_of(spec, trust)
    recipe, size = source.recipe, source.recipe.dataset.size
    if is_expensive(source, size + _MEASURED * len(spec.space)):
        raise UserError(
            f"{spec.name}: {size} clips of {recipe.synth.duration:g} s may take more than a minute or 500 MB; if that "
            f"is intended, make the dataset with generate_vimh.py synth={recipe.synth.name} dataset.size={size}"
        )
    named = recipe.dataset.model_dump(mode="json") | {"name": spec.name}
    return parse_recipe(recipe.model_dump(mode="json") | {"dataset": named})


def is_expensive(source: Source, clips: int) -> bool:
    """Return whether a number of clips, which comes from a file, may take more than a minute or 500 MB to render."""
    recipe = source.recipe
    values = recipe.synth.num_samples + recipe.spectral.num_bins + _VALUES_PER_CLIP
    return clips * math.prod(source.front_end.image_shape) > _MOST_PIXELS or clips * values > _MOST_VALUES
