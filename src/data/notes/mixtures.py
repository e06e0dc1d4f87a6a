"""Render notes that sound together, the image of their sum, and a map of which note dominates each pixel."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from src.data.source import Source
from src.parameters.sampling import random_points
from src.synth.saw_moog import note_to_hz
from src.utils.errors import UserError

MOST_NOTES = 8
_BLOCK = 64  # mixtures that are rendered at once, fewer if their sounds are long
_MOST_VALUES = 2**23  # of the sounds or the frames of a block
_DRAWS_AT = 3 * 2**200  # sample number of pitches and onsets: beyond those of all other random numbers
_PITCH = "note_number"
_NAMES = {1: ["note"], 2: ["lower", "higher"], 3: ["lowest", "middle", "highest"]}


class Rendered(NamedTuple):
    """Mixtures: images (n, C, H, W) and maps (n, H, W) uint8, dB ranges (n, 2) and pitches (n, notes) float32."""

    images: np.ndarray
    maps: np.ndarray
    scales: np.ndarray
    pitches: np.ndarray


@dataclass(frozen=True)
class Mixer:
    """Mixtures of notes of one voice, each a pure function of (the dataset's seed, its index).

    The notes of a mixture have different pitches, and all other parameters are drawn for each note. Each note begins at
    a random time, at most `latest_onset` s after the start, and their sum is divided by their number. A pixel of a map
    has the number of the note, in order of pitch and from 1, whose own image is the brightest there: the ideal
    dominance of the notes. It is 0 where all notes are below `threshold_db`.

    Source: Wang, On Ideal Binary Mask as the Computational Goal of Auditory Scene Analysis, in Speech Separation by
    Humans and Machines, Kluwer 2005.
    """

    source: Source
    notes: int = 2
    latest_onset: float = 0.0
    threshold_db: float = -60.0

    def __post_init__(self) -> None:
        recipe, space = self.source.recipe, self.source.synth.space
        spectral = recipe.spectral
        if not 1 <= self.notes <= MOST_NOTES:
            raise UserError(f"data.notes: {self.notes} given; give 1 to {MOST_NOTES}")
        if not 0.0 <= self.latest_onset < recipe.synth.duration:
            last = f"{recipe.synth.duration:g} s"
            raise UserError(f"data.latest_onset: {self.latest_onset:g} given; give at least 0 s and less than {last}")
        if spectral.image_scaling != "global":
            raise UserError("spectral.image_scaling: per_sample given, but notes are compared in dB; give global")
        if not spectral.floor_db < self.threshold_db < spectral.ceil_db:
            ends = f"{spectral.floor_db:g} dB and {spectral.ceil_db:g} dB"
            raise UserError(f"data.threshold_db: {self.threshold_db:g} given; give a level between {ends} of the image")
        if _PITCH not in space.names or space.varying[space.index(_PITCH)].num_classes < self.notes:
            raise UserError(f"synth.parameters.{_PITCH}: {self.notes} different pitches are needed; vary it by a step")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of a map."""
        numbered = [f"note_{number}" for number in range(1, self.notes + 1)]
        return ("none", *_NAMES.get(self.notes, numbered))

    def draw(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the notes' values (count, notes, P) in order of pitch, and onsets (count, notes) in s."""
        seed, space = self.source.recipe.dataset.seed, self.source.synth.space
        column = space.index(_PITCH)
        pitch = space.varying[column]
        values = space.sample(seed, start * self.notes, count * self.notes).reshape(count, self.notes, len(space))
        points = random_points(self.notes + pitch.num_classes, seed, _DRAWS_AT + start, count)
        order = points[:, self.notes :].argsort(axis=1)  # a random order of all pitches, of which the first are used
        steps = np.sort(order[:, : self.notes], axis=1)
        values[..., column] = pitch.min + pitch.step * steps
        return values, self.latest_onset * points[:, : self.notes]

    def render(self, start: int, count: int) -> Rendered:
        """Return mixtures start .. start + count - 1; whole aligned blocks are rendered, so their bytes do not vary."""
        front_end = self.source.front_end
        largest = self.notes * max(front_end.num_samples, front_end.config.num_bins)
        size = max(1, min(_BLOCK, _MOST_VALUES // largest))
        first = start // size * size
        blocks = [self._block(at, size) for at in range(first, start + count, size)]
        skipped = start - first
        return Rendered(*(np.concatenate(part)[skipped : skipped + count] for part in zip(*blocks, strict=True)))

    def _block(self, start: int, size: int) -> Rendered:
        front_end, synth = self.source.front_end, self.source.synth
        values, onsets = self.draw(start, size)
        audio = synth.render(values.reshape(-1, len(synth.space))).T / self.notes  # (size * notes, T)
        shifts = np.floor(onsets.ravel() * front_end.sample_rate).astype(int)
        for sound, shift in zip(audio, shifts, strict=True):
            sound[shift:], sound[:shift] = sound[: len(sound) - shift].copy(), 0.0
        notes = torch.from_numpy(np.ascontiguousarray(audio, np.float32)).unflatten(0, (size, self.notes))
        with torch.inference_mode():
            images, scales = front_end(notes.sum(dim=1))
            levels = front_end(notes.flatten(0, 1))[0][:, 0].unflatten(0, (size, self.notes))
        return Rendered(
            front_end.to_bytes(images).numpy(),
            self._dominance(levels).numpy(),
            scales.numpy(),
            values[..., synth.space.index(_PITCH)],
        )

    def nearest_partials(self, images: np.ndarray, pitches: np.ndarray) -> np.ndarray | None:
        """Return maps (n, H, W) uint8 of images (n, C, H, W) uint8 and their notes' pitches (n, notes).

        A pixel above the threshold belongs to the note of which a multiple of the pitch is nearest to its row. Returns
        None for mel bands, which are wider than the distance of partials.
        """
        spectral, front_end = self.source.recipe.spectral, self.source.front_end
        if spectral.type != "stft":
            return None
        row_hz = np.arange(1, spectral.height + 1) * front_end.sample_rate / spectral.n_fft
        pitch_hz = note_to_hz(pitches.astype(np.float64))[..., None]  # (n, notes, 1)
        distance = np.abs(row_hz - pitch_hz * np.maximum(1.0, np.round(row_hz / pitch_hz)))
        nearest = distance.argmin(axis=1).astype(np.uint8) + 1  # (n, H)
        return np.where(images[:, 0] >= 255.0 * self._threshold, nearest[..., None], 0).astype(np.uint8)

    @property
    def _threshold(self) -> float:
        """The threshold as a level of the images, in [0, 1]."""
        spectral = self.source.recipe.spectral
        return (self.threshold_db - spectral.floor_db) / (spectral.ceil_db - spectral.floor_db)

    def _dominance(self, levels: torch.Tensor) -> torch.Tensor:
        """Return maps (n, H, W) uint8 of the notes' own images (n, notes, H, W) in [0, 1]."""
        highest, loudest = levels.max(dim=1)
        return torch.where(highest >= self._threshold, loudest + 1, 0).to(torch.uint8)
