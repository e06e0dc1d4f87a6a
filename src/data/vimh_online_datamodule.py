"""A VIMH dataset with validation and test splits in files, and training clips that are rendered during training."""

from typing import Any

import numpy as np

from src.data.generate import available_cores
from src.data.online import FreshClips, OnlineLoader
from src.data.origin import source_of
from src.data.source import BLOCK, Source
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from src.utils.workers import MOST_PROCESSES

_MOST_AHEAD = 100  # blocks of a worker: a GB of images
_MOST_BY_DEFAULT = 8  # workers: they render 200,000 clips a second, more than the training loop of one process uses


class VIMHOnlineDataModule(VIMHDataModule):
    """Serves `epoch_size` new clips every epoch, drawn by `seed`; the directory's own train split is not used.

    The directory's recipe renders the clips in `workers` processes (None: one per core except one, at most 8). Each
    renders `prefetch_factor` blocks of about 1,024 clips ahead; with 0, clips are rendered between steps.
    """

    def __init__(
        self, epoch_size: int = 16384, workers: int | None = None, prefetch_factor: int = 2, **settings: Any
    ) -> None:
        super().__init__(**settings)
        if workers is not None and not 0 <= workers <= MOST_PROCESSES:
            raise UserError(
                f"data.workers: {workers} given; give 0 to {MOST_PROCESSES} on this machine, or null for one per core "
                "except one"
            )
        if not 1 <= prefetch_factor <= _MOST_AHEAD:
            raise UserError(f"data.prefetch_factor: {prefetch_factor} given; give 1 to {_MOST_AHEAD}")
        if self.augmentation is not None and self.augmentation.mix is not None:
            raise UserError("data.augment: online clips are not used twice, so they cannot be mixed; give data=vimh")
        self.epoch_size = epoch_size
        self.workers = workers
        self.prefetch_factor = prefetch_factor
        self._fresh: OnlineLoader | None = None

    def train_dataloader(self) -> OnlineLoader:  # type: ignore[override]
        """Return the loader of fresh clips; raise UserError if the directory's recipe cannot be rendered here."""
        trainer = self.trainer
        rank, world_size = getattr(trainer, "global_rank", 0), getattr(trainer, "world_size", 1)
        if self.epoch_size < self.batch_size * world_size:
            raise UserError(
                f"data.epoch_size: {self.epoch_size} given, less than one batch of {self.batch_size * world_size}; "
                "give more"
            )
        here = world_size // getattr(trainer, "num_nodes", 1)
        free = max(1, available_cores() // here - 1)
        self._fresh = OnlineLoader(
            FreshClips(self._source(), self.seed, self.labels),
            self.epoch_size,
            self.batch_size,
            min(free, _MOST_BY_DEFAULT) if self.workers is None else self.workers,
            self.prefetch_factor,
            self.pin_memory,
            rank,
            world_size,
            numbered=self.augmentation is not None,
        )
        return self._fresh

    def teardown(self, stage: str) -> None:
        if stage == "fit" and self._fresh is not None:
            self._fresh.close()  # otherwise its workers would run until the process ends

    def on_exception(self, exception: BaseException) -> None:
        self.teardown("fit")  # Lightning does not call it if training fails

    def _source(self) -> Source:
        """Return the source of the directory's clips, with its kernels compiled before any worker needs them."""
        if not self.spec.origin.recipe:
            raise UserError(
                f"{self.data_dir}: its description has no recipe, so no clips can be rendered; use data=vimh"
            )
        source = source_of(self.spec, self.trust)
        recipe = source.recipe
        if recipe.dataset.sampling != "random":
            raise UserError(f"dataset.sampling: {recipe.dataset.sampling} given; data=vimh_online needs random")
        stored = VIMHDataset(self._directory, "val", "exact", spec=self.spec)
        if stored.values is None:
            raise UserError(f"{self.data_dir}/val_params.npy: no such file; restore it, or use data=vimh")
        rows = np.arange(min(BLOCK, len(stored)))
        apart = np.abs(source.images(stored.values[rows])[0].astype(np.int16) - stored.records.gather(rows)[0]).mean()
        if apart > 0.1:  # byte levels; another machine's rounding moves a few pixels by one
            raise UserError(
                f"{self.data_dir}: its clips, rendered again, differ by {apart:.2g} of 255 levels, so training and "
                "validation would not match; another version made it: give dataset.name=... to make a new one"
            )
        return source
