"""Render the samples of a recipe in blocks: from parameters to sounds to images."""

from dataclasses import dataclass

import numpy as np
import torch

from src.data.names import dataset_name
from src.data.recipe import Recipe
from src.spectral.front_end import FrontEnd
from src.synth.config import Synth, load_synth

BLOCK = 64  # samples are always rendered in aligned blocks of this size, so that their bytes do not vary
_MOST_VALUES = 2**23  # of the sounds or the frames that are in memory at once: a block of 131,072 samples each


@dataclass(frozen=True)
class Source:
    """A checked recipe with its voice and its front end."""

    recipe: Recipe
    synth: Synth
    front_end: FrontEnd

    @property
    def name(self) -> str:
        """The name of the dataset's directory."""
        return dataset_name(self.recipe, self.synth)

    def images(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Render values (n, P) -> images (n, C, H, W) uint8 and dB ranges (n, 2) float32.

        Renders full blocks, smaller ones of long clips, with the last one padded, so that every clip is computed in the
        same way.
        """
        images, scales = [], []
        largest = max(self.front_end.num_samples, self.front_end.config.num_bins)
        size = max(1, min(BLOCK, _MOST_VALUES // largest))
        for start in range(0, len(values), size):
            block = values[start : start + size]
            padded = np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)])
            audio = torch.from_numpy(self.synth.render(padded)).T
            with torch.inference_mode():
                image, scale = self.front_end(audio)
                images.append(self.front_end.to_bytes(image).numpy()[: len(block)])
                scales.append(scale.numpy()[: len(block)])
        return np.concatenate(images), np.concatenate(scales)

    def block(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return samples 64 * index .. of the dataset: values (n, P) float32, images, dB ranges."""
        dataset = self.recipe.dataset
        start = index * BLOCK
        values = self.synth.space.sample(dataset.seed, start, BLOCK, dataset.sampling)
        images, scale = self.images(values)
        count = min(BLOCK, dataset.size - start)
        return values[:count], images[:count], scale[:count]


def load_source(recipe: Recipe) -> Source:
    """Build the voice and the front end of a recipe; a UserError names the invalid key."""
    synth = load_synth(recipe.synth)
    return Source(recipe, synth, FrontEnd(recipe.spectral, recipe.synth.sample_rate, recipe.synth.num_samples))
