"""A ModelCheckpoint that a resumed run, whose directory is another, goes on with."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class ResumableCheckpoint(ModelCheckpoint):
    """Keeps comparing with the best of the run that is resumed, as long as its file is there.

    Lightning forgets the best score when the directory changes, so that a resumed run could end
    with a worse checkpoint than an uninterrupted one.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if Path(state_dict["best_model_path"]).is_file():
            state_dict = {**state_dict, "dirpath": self.dirpath}
        super().load_state_dict(state_dict)
