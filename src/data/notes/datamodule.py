"""The datamodule of mixtures of notes, which are rendered in memory when a split is opened."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from src.data.datamodule import BatchDataModule
from src.data.dataset import Batch, BatchDataset
from src.data.inputs import Inputs
from src.data.notes.mixtures import Mixer, Rendered
from src.data.recipe import SPLITS, parse_recipe
from src.data.source import load_source
from src.data.spec import DatasetSpec, Origin


class NotesDataset(BatchDataset):
    """Mixtures of notes and their maps, in memory."""

    labelled = False  # it has maps, and no parameters

    def __init__(self, spec: DatasetSpec, mixer: Mixer, rendered: Rendered):
        self.spec, self.mixer, self.rendered = spec, mixer, rendered

    def __len__(self) -> int:
        return len(self.rendered.images)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        rows, found = np.asarray(indices, np.int64), self.rendered
        return {
            "image": torch.from_numpy(found.images[rows]),
            "scale": torch.from_numpy(found.scales[rows]),
            "map": torch.from_numpy(found.maps[rows]),
        }

    def maps_by_rule(self) -> tuple[np.ndarray, str] | None:
        maps = self.mixer.nearest_partials(self.rendered.images, self.rendered.pitches)
        return None if maps is None else (maps, "the nearest partial, of the true pitches")


class NotesDataModule(BatchDataModule):
    """Mixtures of `notes` notes, of the voice, the front end and the size that `recipe` describes, as a VIMH dataset's.

    The other arguments are those of src.data.notes.mixtures.Mixer. The splits are consecutive, and a mixture depends
    only on the recipe's seed and its index.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        notes: int = 2,
        latest_onset: float = 0.0,
        threshold_db: float = -60.0,
        **loaders: Any,
    ):
        super().__init__(**loaders)
        self._recipe = recipe
        self._options: dict[str, Any] = {"notes": notes, "latest_onset": latest_onset, "threshold_db": threshold_db}

    @cached_property
    def mixer(self) -> Mixer:
        """What renders the mixtures; raises UserError for a recipe or an option that is not valid."""
        return Mixer(load_source(parse_recipe(self._recipe)), **self._options)

    @property
    def settings(self) -> dict[str, Any]:  # type: ignore[override]
        """The arguments with which a test renders the same mixtures."""
        recipe = self.mixer.source.recipe.model_dump(mode="json")
        return {"recipe": recipe, **self._options, "seed": self.seed, "eval_batch_size": self.eval_batch_size}

    def checkpoint_settings(self) -> dict[str, Any]:
        return {"format": "notes", **self.settings}

    def planned_spec(self) -> DatasetSpec:
        """Return the description of the mixtures before they are rendered."""
        source, notes = self.mixer.source, self.mixer.notes
        recipe = source.recipe
        return DatasetSpec(
            name=recipe.dataset.name or f"{notes}_notes_{recipe.synth.name}_{recipe.dataset.size}",
            inputs=Inputs(source.front_end.image_shape),
            targets=None,
            origin=Origin(recipe.synth.sample_rate, recipe.synth.duration, recipe.synth.name, recipe.spectral),
            counts=recipe.dataset.counts,
            map_classes=self.mixer.classes,
        )

    @cached_property
    def spec(self) -> DatasetSpec:  # type: ignore[override]
        """The description of the mixtures; renders all of them, since it contains their digests."""
        return next(iter(self._opened.values())).spec

    def open_split(self, split: str) -> NotesDataset:
        return self._opened[split]

    @cached_property
    def _opened(self) -> dict[str, NotesDataset]:
        plan, start, parts = self.planned_spec(), 0, {}
        for split in SPLITS:
            parts[split] = self.mixer.render(start, plan.counts[split])
            start += plan.counts[split]
        digests = {split: _digest(part) for split, part in parts.items()}
        spec = DatasetSpec(plan.name, plan.inputs, None, plan.origin, plan.counts, None, digests, plan.map_classes)
        return {split: NotesDataset(spec, self.mixer, part) for split, part in parts.items()}


def _digest(part: Rendered) -> str:
    return hashlib.sha256(part.images.tobytes() + part.maps.tobytes()).hexdigest()
