"""How a dataset was made, as its description says: read from a file, so the code that it names has to be trusted."""

from collections.abc import Iterable

from src.data.recipe import Recipe, parse_recipe
from src.data.source import Source, load_source
from src.data.spec import DatasetSpec
from src.synth.voice import require_voice
from src.utils.errors import UserError
from src.utils.trust import trusted_paths

_MOST_BYTES = 4 * 2**30  # of a dataset that is made because a file says so
_MOST_AUDIO = 2**36  # samples of audio that are rendered for it: a million clips of a second at 65 kHz


def recipe_of(spec: DatasetSpec, trust: Iterable[str] = ()) -> Recipe:
    """Return the recipe in a dataset's description; raise UserError if there is none, or its voice is not trusted.

    `trust` holds dotted paths of the user's own voices, or of their modules. A voice is imported, and called with
    settings that the file chooses.
    """
    config = (spec.generator or {}).get("config")
    if not isinstance(config, dict):
        raise UserError(f"{spec.name}: does not say how its sounds are made")
    recipe = parse_recipe(config)
    require_voice(recipe.synth.voice, trusted_paths(trust))
    return recipe


def source_of(spec: DatasetSpec, trust: Iterable[str] = ()) -> Source:
    """Return what made a dataset; UserError as from `recipe_of`, or where its recipe and its description disagree."""
    source = load_source(recipe_of(spec, trust))
    synth, front_end = source.synth, source.front_end
    made = [(one.name, one.min, one.max, one.scale) for one in synth.space]
    said = [(one.name, one.min, one.max, one.scale) for one in spec.space]
    samples = (front_end.sample_rate, front_end.num_samples)
    said_samples = (spec.sample_rate, round((spec.duration or 0.0) * (spec.sample_rate or 0.0)))
    if made != said or samples != said_samples or front_end.image_shape != spec.image_shape:
        raise UserError(f"{spec.name}: its recipe makes other parameters, sounds or images than it says")
    return source


def recipe_to_make(spec: DatasetSpec, trust: Iterable[str] = ()) -> Recipe:
    """Return the recipe that makes a dataset again under its name; UserError as from `source_of`, or where it is large.

    Whoever wrote the description chooses how large.
    """
    source = source_of(spec, trust)
    recipe, size = source.recipe, source.recipe.dataset.size
    num_bytes = size * (len(spec.space) * 6 + spec.image_shape[0] * spec.image_shape[1] * spec.image_shape[2])
    if num_bytes > _MOST_BYTES or size * recipe.synth.num_samples > _MOST_AUDIO:
        raise UserError(f"{spec.name}: {size} samples of {num_bytes / 1e9:.3g} GB; make it with generate_vimh.py")
    named = recipe.dataset.model_dump(mode="json") | {"name": spec.name}
    return parse_recipe(recipe.model_dump(mode="json") | {"dataset": named})
