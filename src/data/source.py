"""Render the samples of a recipe in blocks: from parameters to sounds to images."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
        return np.concatenate(self._each_block(values, lambda block: self._render(block).numpy()))[: len(values)]

    def images(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Render values (n, P) -> images (n, C, H, W) uint8, as a dataset stores them, and dB ranges (n, 2) float32."""

        def analyse(block: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
            images, scale = self._analyse(block)
            return self.front_end.to_bytes(images), scale

        return _joined(self._each_block(values, analyse), len(values))

    def float_images(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Render values (n, P) -> images (n, C, H, W) float32 in [0, 1], before rounding, and dB ranges (n, 2)."""
        return _joined(self._each_block(values, self._analyse), len(values))

    def _analyse(self, values: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        audio = self._render(values)
        with torch.inference_mode():
            return self.front_end(audio)

    def _render(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.synth.render(values)).T

    def _each_block(self, values: np.ndarray, work: Callable[[np.ndarray], Any]) -> list[Any]:
        """Return the results of `work` for blocks of values, as many at once as torch has threads.

        Blocks are full, smaller ones of long clips, and the last is padded, so that every clip is computed in the same
        way; the results of the padding are returned too.
        """
        largest = max(self.front_end.num_samples, self.front_end.config.num_bins)
        size = max(1, min(BLOCK, _MOST_VALUES // largest))
        padded = np.concatenate([values, np.repeat(values[-1:], -len(values) % size, axis=0)])
        blocks = np.split(padded, len(padded) // size)
        threads = min(len(blocks), torch.get_num_threads())
        if threads == 1:
            return [work(block) for block in blocks]
        with rendering_threads(threads) as pool:
            return list(pool.map(work, blocks))

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


@contextmanager
def rendering_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads that run torch with one thread each, so that results do not depend on their number."""
    own = torch.get_num_threads()
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(own)


def load_source(recipe: Recipe) -> Source:
    """Build the voice and the front end of a recipe; a UserError names the invalid key."""
    synth = load_synth(recipe.synth)
    recipe = recipe.model_copy(update={"synth": synth.config})  # with the content of the files that it names
    return Source(recipe, synth, FrontEnd(recipe.spectral, recipe.synth.sample_rate, recipe.synth.num_samples))


def _joined(blocks: list[tuple[torch.Tensor, torch.Tensor]], count: int) -> tuple[np.ndarray, np.ndarray]:
    images, scales = zip(*blocks, strict=True)
    return torch.cat(images).numpy()[:count], torch.cat(scales).numpy()[:count]
