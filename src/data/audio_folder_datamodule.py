"""The LightningDataModule of a folder of labelled recordings, whose VIMH dataset it makes first."""

import logging
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from src.data.audio_folder import build
from src.data.fetch import fetch
from src.data.folder_plan import FolderConfig, Plan, make_plan
from src.data.info import INFO_FILE, read_spec
from src.data.paths import is_complete, lock_file
from src.data.spec import DatasetSpec
from src.data.vimh_datamodule import VIMHDataModule
from src.utils.errors import UserError
from src.utils.files import shown_path
from src.utils.invalid import describe
from src.utils.locks import locked

log = logging.getLogger(__name__)


class AudioFolderDataModule(VIMHDataModule):
    """Serves the dataset of a folder of sound files and a CSV of their labels, made once for each content.

    The settings are those of src.data.folder_plan.FolderConfig, which decide the dataset, and those of
    VIMHDataModule, except `data_dir` and `recipe`; the dataset is made in `root`.
    """

    def __init__(self, **settings: Any):
        given = {key: settings.pop(key) for key in FolderConfig.model_fields if key in settings}
        super().__init__(recipe={}, **settings)
        try:
            self._config = FolderConfig.model_validate(given)
        except ValidationError as error:
            raise UserError(describe(error, "data")) from error

    @cached_property
    def _plan(self) -> Plan:
        return make_plan(self._config)

    def planned_spec(self) -> DatasetSpec | None:
        """Return the spec of the dataset that will be made, or None if it exists."""
        if self.data_dir is not None or is_complete(self.root / self._plan.name, INFO_FILE):
            return None
        return self._plan.spec({})

    def prepare_data(self) -> None:
        """Make the dataset if it does not exist; raise UserError if the existing one is of other sounds or settings."""
        if self.data_dir is not None:
            return
        plan = self._plan
        directory = self.root / plan.name
        if not is_complete(directory, INFO_FILE):
            with locked(lock_file(directory)):  # all processes of a run call this at the same time
                if not is_complete(directory, INFO_FILE):
                    log.info("%s does not exist and is made now", shown_path(directory))
                    build(plan, directory)
        local = fetch(directory)
        config = (read_spec(local).origin.generator or {}).get("config")
        made = config.get("audio_folder") if isinstance(config, dict) else None
        if not isinstance(made, dict) or made.get("content") != plan.content:
            raise UserError(
                f"{directory}: was made of other sounds, labels or settings; give dataset.name=... to make another"
            )
        self.data_dir = local
