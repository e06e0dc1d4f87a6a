"""The recipe of a dataset from its description. It comes from a file, so the code that it names must be trusted."""

from collections.abc import Iterable

from src.data.recipe import Recipe, parse_recipe
from src.data.source import Source, load_source
from src.data.spec import DatasetSpec
from src.synth.voice import require_voice
from src.utils.errors import UserError
from src.utils.trust import trusted_paths

_MOST_BYTES = 4 * 2**30  # of a dataset that is generated from a file's recipe
_MOST_AUDIO = 2**36  # samples of audio rendered for it: a million one-second clips at 65 kHz


def recipe_of(spec: DatasetSpec, trust: Iterable[str] = ()) -> Recipe:
    """Return the recipe in a dataset's description; raise UserError if there is none or its voice is not trusted.

    `trust` lists dotted paths of the user's own voices or of their modules. A voice is imported and called with
    settings from the file.
    """
    config = (spec.generator or {}).get("config")
    if not isinstance(config, dict):
        raise UserError(f"{spec.name}: its description has no recipe for its sounds")
    recipe = parse_recipe(config)
    require_voice(recipe.synth.voice, trusted_paths(trust))
    return recipe


def source_of(spec: DatasetSpec, trust: Iterable[str] = ()) -> Source:
    """Return a dataset's source; raise UserError as `recipe_of`, or if its recipe and its description disagree."""
    source = load_source(recipe_of(spec, trust))
    synth, front_end = source.synth, source.front_end
    made = [(parameter.name, parameter.min, parameter.max, parameter.scale) for parameter in synth.space]
    stated = [(parameter.name, parameter.min, parameter.max, parameter.scale) for parameter in spec.space]
    samples = (front_end.sample_rate, front_end.num_samples)
    stated_samples = (spec.sample_rate, round((spec.duration or 0.0) * (spec.sample_rate or 0.0)))
    if made != stated or samples != stated_samples or front_end.image_shape != spec.image_shape:
        raise UserError(
            f"{spec.name}: its recipe does not match the parameters, sounds or images that its description states"
        )
    return source


def recipe_to_make(spec: DatasetSpec, trust: Iterable[str] = ()) -> Recipe:
    """Return the recipe that generates a dataset again under its name.

    Raises UserError as `source_of`, and if the dataset is large, since its size comes from the file.
    """
    source = source_of(spec, trust)
    recipe, size = source.recipe, source.recipe.dataset.size
    num_bytes = size * (len(spec.space) * 6 + spec.image_shape[0] * spec.image_shape[1] * spec.image_shape[2])
    if num_bytes > _MOST_BYTES or size * recipe.synth.num_samples > _MOST_AUDIO:
        raise UserError(
            f"{spec.name}: {size} clips ({num_bytes / 1e9:.3g} GB in all) are too many; "
            "make the dataset with generate_vimh.py"
        )
    named = recipe.dataset.model_dump(mode="json") | {"name": spec.name}
    return parse_recipe(recipe.model_dump(mode="json") | {"dataset": named})
