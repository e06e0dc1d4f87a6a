"""Render the samples of a recipe in blocks: from parameters to sounds to images."""

from collections.abc import Iterator
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

    def sounds(self, values: np.ndarray) -> np.ndarray:
        """Render values (n, P) -> sounds (n, T) float32, full scale +-1."""
        return np.concatenate([audio.numpy()[:count] for audio, count in self._blocks(values)])

    def images(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Render values (n, P) -> images (n, C, H, W) uint8, as a dataset stores them, and dB ranges (n, 2) float32."""
        blocks = [(self.front_end.to_bytes(images), scale) for images, scale in self._analysed(values)]
        return _joined(blocks)

    def float_images(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Render values (n, P) -> images (n, C, H, W) float32 in [0, 1], before rounding, and dB ranges (n, 2)."""
        return _joined(list(self._analysed(values)))

    def _analysed(self, values: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for audio, count in self._blocks(values):
            with torch.inference_mode():
                images, scale = self.front_end(audio)
            yield images[:count], scale[:count]

    def _blocks(self, values: np.ndarray) -> Iterator[tuple[torch.Tensor, int]]:
        """Render full blocks of sounds, smaller ones of long clips, and say how many of each are asked for.

        The last block is padded, so that every clip is computed in the same way.
        """
        largest = max(self.front_end.num_samples, self.front_end.config.num_bins)
        size = max(1, min(BLOCK, _MOST_VALUES // largest))
        for start in range(0, len(values), size):
            block = values[start : start + size]
            padded = np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)])
            yield torch.from_numpy(self.synth.render(padded)).T, len(block)

    def first_values(self) -> np.ndarray:
        """Return the values (n, P) float32 of the first block's samples, by which a voice is checked."""
        dataset = self.recipe.dataset
        return self.synth.space.sample(dataset.seed, 0, min(BLOCK, dataset.size), dataset.sampling)

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
    recipe = recipe.model_copy(update={"synth": synth.config})  # with the content of the files that it names
    return Source(recipe, synth, FrontEnd(recipe.spectral, recipe.synth.sample_rate, recipe.synth.num_samples))


def _joined(blocks: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    images, scales = zip(*blocks, strict=True)
    return torch.cat(images).numpy(), torch.cat(scales).numpy()
