"""Names of datasets: every difference from the shipped configs changes the name."""

import hashlib
import json
from typing import Any

from src.data.recipe import DatasetConfig, Recipe
from src.synth.config import Synth

_ENVELOPES = {"temporal_envelope": "_temporal", "spectral_envelope": "_spectral"}

# Digests of the shipped synth configs, by name, and of the shipped analyses, by type and size. Their datasets have
# names without a digest, as in earlier versions. tests/data/test_names.py computes the digests from configs/.
SHIPPED = {
    "simple_saw": "cb72ea",
    "simple_saw_classic": "71b49d",
    "moog_basic": "b67368",
    "moog_envelope": "6ffff3",
    "moog_resonance": "cd67b9",
    "simple_saw_log": "d4cd34",
    "moog_basic_log": "c09551",
    "fm": "a205dc",
    "karplus_strong": "d289cf",
    "additive": "da1a0a",
    "inversynth": "74ca82",
    "two_oscillators": "dd67f3",
    "faust_saw_ladder": "7a6170",
    "instruments": "a46f68",
    "nekobi": "a9774f",
    "stft_32x32": "939467",
    "stft_32x64": "5ec721",
    "stft_48x48": "ef5793",
    "stft_256x64": "e38c8f",
    "mel_32x32": "3da391",
    "mel_64x64": "65cc58",
}


def dataset_name(recipe: Recipe, synth: Synth) -> str:
    """Return the name of a dataset's directory, which is for users and is never parsed.

    It contains the image size, the sample rate, the duration, the number of samples, the synth and the number of
    varying parameters, then envelope channels, scaling, shuffling, mel bands, sampling and seed if they differ from the
    defaults. Any other difference from the shipped config of the same name or size adds a digest of six characters.
    """
    dataset, spectral = recipe.dataset, recipe.spectral
    if dataset.name:
        return dataset.name
    envelopes = [suffix for channel, suffix in _ENVELOPES.items() if channel in spectral.channels]
    size = f"{spectral.height}x{spectral.width}x{len(spectral.channels)}"
    duration = str(float(recipe.synth.duration)).replace(".", "p")
    parts = [
        f"vimh-{size}_{recipe.synth.sample_rate}Hz_{duration}s_{dataset.size}dss_{recipe.synth.name}_{len(synth.space)}p",
        "_envelopes" if len(envelopes) == 2 else "".join(envelopes),
        "_normalized" if spectral.image_scaling == "per_sample" else "",
        "_shuffled" if dataset.shuffle else "",
        "_mel" if spectral.type == "mel" else "",
        f"_{dataset.sampling}" if dataset.sampling != "random" else "",
        f"_seed{dataset.seed}" if dataset.seed else "",
    ]
    analysis = f"{spectral.type}_{spectral.height}x{spectral.width}"
    digests = {recipe.synth.name: digest(describe_sound(synth)), analysis: digest(describe_analysis(recipe))}
    fractions = dataset.model_dump(include={"val_fraction", "test_fraction"})
    usual = DatasetConfig(size=dataset.size).model_dump(include=set(fractions))
    if not digests.items() <= SHIPPED.items() or fractions != usual:
        parts.append(f"_{digest([*digests.values(), fractions])}")
    return "".join(parts)


def describe_sound(synth: Synth) -> dict[str, Any]:
    """Return the settings that determine a sound, except those in the name."""
    varying = ("name", "min", "max", "step", "scale", "kind", "values")
    source = {} if synth.config.source is None else {"source": synth.config.source}
    return source | {
        "voice": synth.config.voice,
        "settings": {**synth.voice.settings, **synth.config.settings},
        "varying": [[getattr(spec, key) for key in varying] for spec in synth.space],
        "fixed": sorted(
            [spec.name, spec.min] for spec in synth.space.specs if spec.is_fixed and spec.min != spec.default
        ),
    }


def describe_analysis(recipe: Recipe) -> dict[str, Any]:
    """Return the settings that determine the image of a sound, except those in the name."""
    spectral = recipe.spectral
    plain = spectral.model_dump(exclude={"type", "height", "width", "image_scaling"})
    named = ("magnitude", *(channel for channel in _ENVELOPES if channel in spectral.channels))
    if spectral.channels == named:
        del plain["channels"]
    if spectral.type == "stft":
        del plain["freq_min"], plain["freq_max_ratio"]  # of mel bands
    return plain


def digest(plain: Any) -> str:
    """Return a hash of plain containers, six hexadecimal digits."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:6]
