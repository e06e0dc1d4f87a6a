"""The LightningDataModule of a VIMH directory, which it generates first if a recipe is given."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from src.data.batches import Batches
from src.data.device_cache import CachedDataset, require_room
from src.data.fetch import fetch
from src.data.paths import CACHE_DIR, Location, is_complete, lock_file, to_location
from src.data.recipe import Recipe, parse_recipe
from src.data.spec import INFO_FILE, DatasetSpec, first_difference, read_spec
from src.data.vimh.reader import has_split
from src.data.vimh_dataset import Batch, VIMHDataset, images_to_float
from src.utils.errors import UserError
from src.utils.files import shown_path
from src.utils.locks import locked
from src.utils.trust import trusted_paths
from src.utils.workers import MOST_PROCESSES

log = logging.getLogger(__name__)


class VIMHDataModule(LightningDataModule):
    """Serves train, val and test batches of one dataset directory.

    `data_dir` is the directory or a URL; without it, `recipe` determines a directory in `root`. A directory that does
    not exist is generated from `recipe`; an existing directory is never written to. If a dataset has no `val`, it is
    `val_fraction` of train, drawn by `seed`; test is opened only for testing. A label without measurable effect is
    refused during generation, unless `allow_blind`. `batch_size` is that of each process: several processes train on
    several batches at once. With `device_cache` the splits are stored on the trainer's device completely. `trust` lists
    the user's own voices, or their modules, that a dataset's description may name in addition to the built-in voices;
    the voice of `recipe` is the caller's and always trusted.
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
    ):
        super().__init__()
        for key, size in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if size < 1:
                raise UserError(f"data.{key}: {size} given; give at least 1")
        if not 0 <= num_workers <= MOST_PROCESSES:
            raise UserError(f"data.num_workers: {num_workers} given; give 0 to {MOST_PROCESSES} on this machine")
        if not 0 < val_fraction < 1:
            raise UserError(f"data.val_fraction: {val_fraction} given; give a fraction between 0 and 1")
        if seed < 0:
            raise UserError(f"data.seed: {seed} given; give at least 0")
        if labels not in ("exact", "quantised"):
            raise UserError(f"data.labels: '{labels}' given; give exact or quantised")
        if device_cache and (num_workers or pin_memory):
            key, value = ("num_workers", num_workers) if num_workers else ("pin_memory", pin_memory)
            raise UserError(
                f"data.{key}: {value} given, but data.device_cache=true loads nothing; leave out data.{key}"
            )
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.device_cache = device_cache
        self.val_fraction = val_fraction
        self.seed = seed
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
        self._splits: dict[str, VIMHDataset] = {}
        self._cached: dict[str, CachedDataset] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that, with the directory, determine the samples and labels of a test."""
        return {key: getattr(self, key) for key in ("labels", "seed", "val_fraction", "eval_batch_size")}

    @property
    def _directory(self) -> Path:
        """The local directory of the prepared data."""
        return cast(Path, self.data_dir)

    @property
    def spec(self) -> DatasetSpec:
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
        return recipe, self.root / load_source(recipe).name

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

    def dataset(self, split: str) -> VIMHDataset:
        """Return an opened split."""
        if split not in self._splits:
            self.setup("test" if split == "test" else "fit")
        return self._splits[split]

    def train_dataloader(self) -> DataLoader:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._loader("test")

    def _loader(self, split: str) -> DataLoader:
        dataset, trainer, training = self.dataset(split), self.trainer, split == "train"
        batches = Batches(
            dataset,
            self.batch_size if training else self.eval_batch_size,
            training=training,
            shuffle=training and not getattr(trainer, "overfit_batches", 0),
            seed=self.seed,
            rank=getattr(trainer, "global_rank", 0),
            world_size=getattr(trainer, "world_size", 1),
        )
        if training and not len(batches):
            raise UserError(
                f"{self.data_dir}/train: {len(dataset)} records are too few for {batches.world_size} processes to share"
            )
        return DataLoader(
            self._cache(split) if self.device_cache else dataset,
            batch_sampler=cast(Any, batches),  # arrays of indices instead of lists
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            persistent_workers=self.num_workers > 0,
            collate_fn=cast(Any, _keep),
            generator=torch.Generator().manual_seed(self.seed),  # workers' seeds: not from the model's generator
        )

    def _cache(self, split: str) -> CachedDataset:
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        if split not in self._cached:
            require_room([self.dataset(name) for name in {*self._cached, split}], device)
            self._cached[split] = CachedDataset(self.dataset(split), device)
        return self._cached[split]

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert bytes to floats on the device: a quarter of the transfer, and no work per sample."""
        return {**batch, "image": images_to_float(batch["image"])}


def _keep(batch: Batch) -> Batch:
    return batch  # already collated by `__getitems__`


def _refuse_other_recipe(directory: Path, wanted: Mapping[str, Any]) -> None:
    """Raise UserError if an existing dataset of that name was generated by another recipe."""
    generator = read_spec(directory).generator or {}
    difference = first_difference(generator.get("config") or {}, wanted)
    if difference:
        raise UserError(
            f"{directory}: was generated with {difference}; give {shlex.quote(f'data.data_dir={directory}')} to use it "
            "unchanged, or dataset.name=... to make another"
        )
