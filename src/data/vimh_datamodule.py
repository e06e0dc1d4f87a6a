"""The LightningDataModule of a VIMH directory, which it generates first if a recipe is given."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from src.data.datamodule import BatchDataModule
from src.data.dataset import BatchDataset
from src.data.fetch import fetch
from src.data.info import INFO_FILE, read_spec
from src.data.paths import CACHE_DIR, Location, is_complete, lock_file, to_location
from src.data.recipe import Recipe, first_difference, parse_recipe
from src.data.spec import DatasetSpec
from src.data.vimh.reader import has_split
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from src.utils.files import shown_path
from src.utils.locks import locked
from src.utils.trust import trusted_paths

log = logging.getLogger(__name__)


class VIMHDataModule(BatchDataModule):
    """Serves train, val and test batches of one dataset directory.

    `data_dir` is the directory or a URL; without it, `recipe` determines a directory in `root`. A directory that does
    not exist is generated from `recipe`; an existing directory is never written to. If a dataset has no `val`, it is
    `val_fraction` of train, drawn by `seed`; test is opened only for testing. A label without measurable effect is
    refused during generation, unless `allow_blind`. `trust` lists the user's own voices, or their
    modules, that a dataset's description may name in addition to the built-in voices; the voice of `recipe` is the
    caller's and always trusted. The other settings are those of src.data.datamodule.
    """

    def __init__(
        self,
        data_dir: str | Path | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        num_workers: int = 0,
        pin_memory: bool = False,
        device_cache: bool = False,
        val_fraction: float = 0.1,
        seed: int = 0,
        labels: Literal["exact", "quantised"] = "exact",
        verify: bool = False,
        recipe: Mapping[str, Any] | None = None,
        root: str | Path = "data",
        cache_dir: str | Path = CACHE_DIR,
        allow_blind: bool = False,
        trust: Sequence[str] = (),
        augment: Mapping[str, Any] | None = None,
    ):
        super().__init__(batch_size, eval_batch_size, num_workers, pin_memory, device_cache, seed, augment)
        if not 0 < val_fraction < 1:
            raise UserError(f"data.val_fraction: {val_fraction} given; give a fraction between 0 and 1")
        if labels not in ("exact", "quantised"):
            raise UserError(f"data.labels: '{labels}' given; give exact or quantised")
        self.val_fraction = val_fraction
        self.labels = labels
        self.verify = verify
        self.recipe = recipe
        self.allow_blind = allow_blind
        self.data_dir: Location | None = to_location(data_dir, cache_dir) if data_dir is not None else None
        self.root = to_location(root, cache_dir)
        own = ((recipe or {}).get("synth") or {}).get("voice")
        self.trust = (*trusted_paths(trust), *([own] if isinstance(own, str) else []))
        if self.data_dir is None and recipe is None:
            raise UserError("data.data_dir: neither this nor data.recipe is given; give a VIMH directory")
        self._spec: DatasetSpec | None = None

    @property
    def settings(self) -> dict[str, Any]:  # type: ignore[override]
        """The settings that, with the directory, determine the samples and labels of a test."""
        return {key: getattr(self, key) for key in ("labels", "seed", "val_fraction", "eval_batch_size")}

    def checkpoint_settings(self) -> dict[str, Any]:
        """Return `settings` alone: a checkpoint without a format is one of a VIMH directory."""
        return self.settings

    @property
    def _directory(self) -> Path:
        """The local directory of the prepared data."""
        return cast(Path, self.data_dir)

    @property
    def spec(self) -> DatasetSpec:  # type: ignore[override]
        """The dataset's description, from which the model is built; prepares the data if necessary."""
        if self._spec is None:
            self.prepare_data()
            self._spec = read_spec(self._directory)
        return self._spec

    def planned_spec(self) -> DatasetSpec | None:
        """Return the spec of the dataset that will be generated, or None if no dataset has to be generated."""
        if self._is_there():
            return None
        recipe, directory = self._recipe_and_directory()
        if is_complete(directory, INFO_FILE):
            return None
        from src.data.generate import describe_source
        from src.data.source import load_source

        return describe_source(load_source(recipe), [])

    def prepare_data(self) -> None:
        """Generate the dataset if it does not exist; raise UserError if the existing dataset has another recipe.

        Afterwards `data_dir` is the local directory; for a URL it is a copy in `cache_dir`. `spec` calls this method.
        """
        if self._is_there():
            self.data_dir = fetch(cast(Location, self.data_dir))
            return
        recipe, directory = self._recipe_and_directory()
        if not is_complete(directory, INFO_FILE):
            with locked(lock_file(directory)):  # all processes of a run call this at the same time
                self._generate(recipe, directory)
        local = fetch(directory)
        _refuse_other_recipe(local, recipe.model_dump(mode="json"))
        self.data_dir = local

    def _is_there(self) -> bool:
        return self.data_dir is not None and (self.recipe is None or is_complete(self.data_dir, INFO_FILE))

    def _recipe_and_directory(self) -> tuple[Recipe, Location]:
        from src.data.source import load_source

        recipe = parse_recipe(self.recipe or {})
        if self.data_dir is not None:
            recipe.dataset.name = self.data_dir.name
            self.root = self.data_dir.parent
        source = load_source(recipe)
        return source.recipe, self.root / source.name

    def _generate(self, recipe: Recipe, directory: Location) -> None:
        from src.data.generate import generate  # compiles kernels, which takes time: only if data is generated
        from src.data.sensitivity import NoEffectError

        if is_complete(directory, INFO_FILE):
            return
        log.info("%s does not exist and is generated now", shown_path(directory))
        try:
            generate(recipe, self.root, allow_blind=self.allow_blind)
        except NoEffectError as error:
            raise UserError(f"{error}; preflight.allow_blind=true makes the dataset and trains anyway") from error
        except UserError:
            if not is_complete(directory, INFO_FILE):  # otherwise another run made it: the same bytes
                raise

    def setup(self, stage: str | None = None) -> None:
        """Open and check the splits of a stage."""
        self.prepare_data()
        if stage in ("fit", "validate", None):
            if has_split(self._directory, "val") or self.spec.counts.get("val"):
                self._open("train")
                self._open("val")
            else:
                train, val = self._split_train()
                self._open("train", train)
                self._open("val", val, "train")
        if stage in ("test", "predict", None):
            self._open("test")

    def open_split(self, split: str) -> BatchDataset:
        """Return an opened split."""
        self.setup("test" if split == "test" else "fit")
        return self._splits[split]

    def _open(self, split: str, indices: np.ndarray | None = None, file: str | None = None) -> None:
        if split not in self._splits:
            if read_spec(self._directory).sha256 != self.spec.sha256:  # testing may come hours after training
                raise UserError(f"{self.data_dir}: was replaced while it was in use; train again on the new dataset")
            self._splits[split] = VIMHDataset(
                self._directory, file or split, self.labels, indices, self.verify, self.spec
            )

    def _split_train(self) -> tuple[np.ndarray, np.ndarray]:
        count = len(VIMHDataset(self._directory, "train", "quantised", spec=self.spec))
        order = np.random.default_rng(self.seed).permutation(count)
        held_out = max(1, round(count * self.val_fraction))
        if held_out >= count:
            raise UserError(f"{self.data_dir}/train: {count} records are too few for a validation split; add some")
        return np.sort(order[held_out:]), np.sort(order[:held_out])


def _refuse_other_recipe(directory: Path, wanted: Mapping[str, Any]) -> None:
    """Raise UserError if an existing dataset of that name was generated by another recipe.

    Another version of the engine that renders its source is no reason to make it again.
    """
    origin = read_spec(directory).origin
    remedy = (
        f"give {shlex.quote(f'data.data_dir={directory}')} to use it unchanged, or dataset.name=... to make another"
    )
    if "built" in (origin.generator or {}):
        raise UserError(f"{directory}: was built from other datasets; {remedy}")
    difference = first_difference(_without_engine(origin.recipe or {}), _without_engine(wanted))
    if difference:
        raise UserError(f"{directory}: was generated with {difference}; {remedy}")


def _without_engine(recipe: Mapping[str, Any]) -> dict[str, Any]:
    synth = recipe.get("synth")
    if not isinstance(synth, Mapping):
        return dict(recipe)
    return {**recipe, "synth": {key: value for key, value in synth.items() if key != "engine"}}
