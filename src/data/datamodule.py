"""What the LightningDataModules of all formats share: the settings of their loaders, and the loaders."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from src.data.augment.augmentation import parse_augmentation
from src.data.augment.loading import NumberedDataset
from src.data.batches import Batches
from src.data.dataset import Batch, BatchDataset, images_to_float
from src.data.device_cache import CachedDataset, require_room
from src.data.spec import DatasetSpec
from src.utils.errors import UserError
from src.utils.workers import MOST_PROCESSES


class BatchDataModule(LightningDataModule):
    """Serves train, val and test batches of one dataset.

    `batch_size` is that of each process: several processes train on several batches at once. With `device_cache` the
    splits are stored on the trainer's device completely. `augment` holds random changes of training samples, a mapping
    of names to settings, see src.data.augment. A subclass sets `spec` and implements `open_split`.
    """

    data_dir: Any = None  # where the dataset is, for messages
    trust: Sequence[str] = ()  # the user's own voices that its description may name
    spec: DatasetSpec
    settings: Mapping[str, Any] = {}  # plain arguments with which a test builds the datamodule of a checkpoint again

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        num_workers: int = 0,
        pin_memory: bool = False,
        device_cache: bool = False,
        seed: int = 0,
        augment: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        for key, size in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if size < 1:
                raise UserError(f"data.{key}: {size} given; give at least 1")
        if not 0 <= num_workers <= MOST_PROCESSES:
            raise UserError(f"data.num_workers: {num_workers} given; give 0 to {MOST_PROCESSES} on this machine")
        if seed < 0:
            raise UserError(f"data.seed: {seed} given; give at least 0")
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
        self.seed = seed
        self.augmentation = parse_augmentation(augment, seed)
        self._splits: dict[str, BatchDataset] = {}
        self._cached: dict[str, CachedDataset] = {}

    def checkpoint_settings(self) -> dict[str, Any]:
        """Return what a checkpoint holds to open the same data for a test, see src.data.reopen."""
        kind = type(self)
        return {"format": f"{kind.__module__}.{kind.__qualname__}", **self.settings}

    def planned_spec(self) -> DatasetSpec | None:
        """Return the spec of the dataset that will be generated, or None if no dataset has to be generated."""
        return None

    def open_split(self, split: str) -> BatchDataset:
        """Open a split: train, val or test."""
        raise NotImplementedError

    def dataset(self, split: str) -> BatchDataset:
        """Return a split, which is opened once."""
        if split not in self._splits:
            self._splits[split] = self.open_split(split)
        return self._splits[split]

    def train_dataloader(self) -> DataLoader:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._loader("test")

    def _loader(self, split: str) -> DataLoader:
        dataset, trainer, training = self.dataset(split), self.trainer, split == "train"
        augmentation = self.augmentation if training else None
        mixes = augmentation is not None and augmentation.mix is not None
        if mixes and dataset.ragged:
            raise UserError("data.augment: samples are mixed, but the images differ in shape; leave the mixing out")
        batches = Batches(
            dataset,
            self.batch_size if training else self.eval_batch_size,
            training=training,
            shuffle=training and not getattr(trainer, "overfit_batches", 0),
            seed=self.seed,
            rank=getattr(trainer, "global_rank", 0),
            world_size=getattr(trainer, "world_size", 1),
            partners=partial(augmentation.partners, count=len(dataset)) if augmentation and mixes else None,
        )
        if training and not len(batches):
            where = self.data_dir or self.spec.name
            raise UserError(
                f"{where}/train: {len(dataset)} records are too few for {batches.world_size} processes to share"
            )
        served: Any = self._cache(split) if self.device_cache else dataset
        return DataLoader(
            NumberedDataset(served) if augmentation else served,
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
        """Convert bytes to floats on the device: a quarter of the transfer, and no work per sample; then augment.

        Only batches of the training loader have an `index`; outside of training they stay as they are.
        """
        batch = {**batch, "image": images_to_float(batch["image"])}
        if self.augmentation is None or "index" not in batch:
            return batch
        trainer = self.trainer
        if trainer is not None and trainer.training:
            return self.augmentation(batch, trainer.current_epoch)
        return self.augmentation.without(batch)


def _keep(batch: Batch) -> Batch:
    return batch  # already collated by `__getitems__`
