"""What a folder of labelled sound files holds, and what is to be made of it, before any sound is decoded."""

import hashlib
import json
import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from src import __version__
from src.data.folder_checks import Findings
from src.data.inputs import Inputs
from src.data.labels_csv import Labels, read_labels
from src.data.spec import DatasetSpec, Origin
from src.data.vimh.records import CURRENT_METADATA_BYTES
from src.spectral.audio_file import SUFFIXES
from src.spectral.config import SpectralConfig
from src.spectral.front_end import FrontEnd
from src.spectral.segments import Onsets
from src.utils.errors import UserError
from src.utils.files import path_text, sha256_of
from src.utils.terminal import counted

log = logging.getLogger(__name__)

_LONGEST_TITLE = 60  # letters


class FolderConfig(BaseModel):
    """What decides the dataset of a folder; see configs/data/audio_folder.yaml."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    audio_dir: Path | None
    csv: str = "labels.csv"
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")
    sample_rate: int = Field(ge=1000, le=192_000)
    duration: float = Field(gt=0, le=60)
    spectral: SpectralConfig
    parameters: dict[str, dict[str, Any] | None] | None = None
    ignore: list[str] = []
    segment: Literal["onsets", "fixed"] | None = None
    onsets: Onsets = Onsets()
    channel: Literal["mix", "left", "right"] | None = None
    val_fraction: float = Field(0.1, gt=0, lt=0.5)
    test_fraction: float = Field(0.1, gt=0, lt=0.5)
    split_seed: int = Field(0, ge=0, lt=2**64)


@dataclass(frozen=True)
class Plan:
    """A folder before its sounds are decoded: the labels of the files that exist, and their content.

    `content` is a digest of the files, labels and settings on which the dataset's bytes depend.
    """

    config: FolderConfig
    folder: Path
    labels: Labels
    sha256: list[str]
    findings: Findings
    front_end: FrontEnd
    content: str

    @property
    def title(self) -> str:
        """The folder's name as a part of a dataset's name."""
        return re.sub(r"[^A-Za-z0-9]+", "_", self.folder.resolve().name)[:_LONGEST_TITLE].strip("_") or "recordings"

    @property
    def name(self) -> str:
        """The name of the dataset's directory; it differs if any file, label or setting differs."""
        config, spectral = self.config, self.config.spectral
        size = f"{spectral.height}x{spectral.width}x{len(spectral.channels)}"
        duration = str(config.duration).replace(".", "p")
        made = f"{size}_{config.sample_rate}Hz_{duration}s_{self.title}_{len(self.labels.space)}p"
        return config.name or f"vimh-{made}_{self.content[:6]}"

    def spec(self, counts: dict[str, int]) -> DatasetSpec:
        """Return the dataset's description, with what the checks have found until now."""
        config = self.config
        settings = config.model_dump(mode="json", exclude={"audio_dir", "spectral", "split_seed"})
        return DatasetSpec(
            name=self.name,
            inputs=Inputs(self.front_end.image_shape),
            targets=self.labels.space,
            origin=Origin(
                sample_rate=config.sample_rate,
                duration=config.duration,
                synth_type=self.title,
                spectral=config.spectral,
                generator={
                    "synth": None,
                    "seed": config.split_seed,
                    "config": {
                        "spectral": config.spectral.model_dump(mode="json"),
                        "audio_folder": {**settings, "content": self.content},
                    },
                    "checks": self.findings.to_dict(),
                    "program_version": __version__,
                },
            ),
            counts=counts,
            metadata_bytes=CURRENT_METADATA_BYTES,
        )


def make_plan(config: FolderConfig) -> Plan:
    """Read a folder's labels and the content of its files; raise UserError if it gives no dataset."""
    folder = config.audio_dir
    if folder is None:
        raise UserError("data.audio_dir: not given; give a folder of sound files with a CSV of their labels")
    if not folder.is_dir():
        raise UserError(f"data.audio_dir: {path_text(folder)} is not a folder; give a folder of sound files")
    front_end = FrontEnd(config.spectral, config.sample_rate, round(config.duration * config.sample_rate))
    labels = read_labels(folder / config.csv, config.parameters, config.ignore)
    for column, reason in labels.left_out.items():
        log.info("%s: column %s is not learned (%s)", config.csv, column, reason)
    findings = Findings()
    kept, digests = [], []
    with counted(path_text(folder), "files", len(labels.files)) as advance:
        for row, file in enumerate(labels.files):
            if (folder / file).is_file():
                kept.append(row)
                digests.append(sha256_of(folder / file))
            else:
                findings.add("missing", file)
            advance(1)
    if not kept:
        raise UserError(
            f"{path_text(folder / config.csv)}: none of its files is in the folder, such as {labels.files[0]}; give "
            "paths relative to it"
        )
    for file in sorted(_sound_files(folder) - set(labels.files)):
        findings.add("unlisted", path_text(file))
    files, groups = ([column[row] for row in kept] for column in (labels.files, labels.groups))
    labels = replace(labels, files=files, groups=groups, values=labels.values[kept])
    return Plan(config, folder, labels, digests, findings, front_end, _digest(config, labels, digests))


def _sound_files(folder: Path) -> set[str]:
    """Return the paths of all files in a folder and below that have the suffix of a sound, relative to it."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix() for path in found if path.is_file()}


def _digest(config: FolderConfig, labels: Labels, digests: list[str]) -> str:
    settings = config.model_dump(mode="json", exclude={"audio_dir", "csv", "name", "parameters", "ignore"})
    plain = [settings, labels.files, labels.groups, labels.space.to_dicts(), labels.values.tolist(), digests]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
