"""A folder of recordings without labels, cut into clips, whose images train a model on sound alone."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import ValidationError

from src.data.datamodule import BatchDataModule
from src.data.dataset import Batch, BatchDataset
from src.data.spec import DatasetSpec
from src.spectral.audio_file import SILENCE, SUFFIXES
from src.spectral.front_end import FrontEnd
from src.spectral.recording import cut_clips, read_blocks
from src.spectral.segments import Segmentation, find_segments
from src.utils.errors import UserError
from src.utils.files import path_text
from src.utils.invalid import describe

log = logging.getLogger(__name__)

_BLOCK = 256  # clips that are analysed at once


class Recordings(BatchDataset):
    """Batches {image (B, C, H, W) float32 in [0, 1], scale (B, 2) float32 dB}, in memory."""

    labelled = False

    def __init__(self, spec: DatasetSpec, images: torch.Tensor, scale: torch.Tensor):
        self.spec, self._images, self._scale = spec, images, scale

    def __len__(self) -> int:
        return len(self._images)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Batch:
        rows = np.asarray(indices, np.int64)
        return {"image": self._images[rows], "scale": self._scale[rows]}


class RecordingsDataModule(BatchDataModule):
    """Serves clips of the sound files in `audio_dir`: whole files for training, and `val_fraction` of them held out.

    `describe` says for which model. Each file is resampled and cut as by src/predict.py: a clip from each onset, or one
    after the other. `onsets` has the settings of src.spectral.segments.Onsets. Silent clips are left out, and a file
    that cannot be read is a warning. `seed` draws the files that are held out, and the order of the clips.
    """

    def __init__(
        self,
        audio_dir: str | Path | None = None,
        segment: Literal["onsets", "fixed"] = "fixed",
        onsets: Mapping[str, Any] | None = None,
        channel: str | None = None,
        val_fraction: float = 0.1,
        trust: Sequence[str] = (),
        **loaders: Any,
    ):
        super().__init__(**loaders)
        if not 0 < val_fraction < 1:
            raise UserError(f"data.val_fraction: {val_fraction} given; give a fraction between 0 and 1")
        cut = {"segment": segment, "onsets": dict(onsets or {}), "hop": None}
        try:
            self.segmentation = Segmentation.model_validate(cut)
        except ValidationError as error:
            raise UserError(describe(error, "data")) from error
        self.data_dir = None if audio_dir is None else Path(audio_dir)
        self.channel, self.val_fraction, self.trust = channel, val_fraction, trust
        self._settings: dict[str, Any] = {}

    def describe(self, spec: DatasetSpec, settings: Mapping[str, Any]) -> None:
        """Set the description and the settings of the dataset that the model was trained on.

        Checkpoints keep both, so that an adapted model can still be tested on that dataset.
        """
        self.spec, self._settings = spec, dict(settings)

    def checkpoint_settings(self) -> dict[str, Any]:
        """Return the settings of the dataset that the model was trained on first."""
        return self._settings

    def setup(self, stage: str | None = None) -> None:
        """Read the recordings; a test has none."""
        if stage == "test" or self._splits:
            return
        files = self._files()
        order = np.random.default_rng(self.seed).permutation(len(files))
        held_out = max(1, round(self.val_fraction * len(files)))
        front_end = self._front_end()
        for split, rows in (("val", order[:held_out]), ("train", order[held_out:])):
            clips = [clip for row in sorted(rows) for clip in self._clips(files[row], front_end)]
            if not clips:
                raise UserError(f"{self.data_dir}: no clip for {split} in {len(rows)} files; add recordings")
            analysed = [_analysed(front_end, clips[at : at + _BLOCK]) for at in range(0, len(clips), _BLOCK)]
            images, scales = zip(*analysed, strict=True)
            self._splits[split] = Recordings(self.spec, torch.cat(images), torch.cat(scales))
            log.info("%s: %d clips of %d files", split, len(clips), len(rows))

    def dataset(self, split: str) -> BatchDataset:
        if split == "test":
            raise UserError("recordings have no labels to test with; give test=false")
        return super().dataset(split)

    def _files(self) -> list[Path]:
        if self.data_dir is None:
            raise UserError("data.audio_dir: not given; give a folder of sound files")
        if not self.data_dir.is_dir():
            raise UserError(f"data.audio_dir: {path_text(self.data_dir)} is not a folder; give a folder of sound files")
        files = [path for path in sorted(self.data_dir.iterdir()) if path.suffix.lower() in SUFFIXES]
        files = [path for path in files if path.is_file() and not path.name.startswith(".")]
        if len(files) < 2:
            raise UserError(
                f"data.audio_dir: {path_text(self.data_dir)} holds {len(files)} sound files; at least 2 are needed, "
                "since some are held out"
            )
        return files

    def _front_end(self) -> FrontEnd:
        spectral, rate, duration = self.spec.origin.spectral, self.spec.origin.sample_rate, self.spec.origin.duration
        if spectral is None or rate is None or duration is None:
            raise UserError(f"{self.spec.name}: its description does not say how sounds become images; train again")
        return FrontEnd(spectral, round(rate), round(duration * rate))

    def _clips(self, path: Path, front_end: FrontEnd) -> list[np.ndarray]:
        rate, count = front_end.sample_rate, front_end.num_samples
        try:
            _, starts = find_segments(path, rate, count, self.channel, self.segmentation)
            clips = cut_clips(read_blocks(path, rate, self.channel, warn=False), starts, count)
            return [clip for clip in clips if np.abs(clip).max() >= SILENCE]
        except UserError as error:
            log.warning("left out: %s", error)
            return []


def _analysed(front_end: FrontEnd, clips: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        return front_end(torch.from_numpy(np.stack(clips)))
