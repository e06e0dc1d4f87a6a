"""The datamodule of scikit-learn's digits: a classification task in seconds."""

from collections.abc import Mapping
from typing import Any

from src.data.images.datamodule import ImageDataModule


class DigitsDataModule(ImageDataModule):
    """The digits of src.data.images.sklearn_digits, 80 % for training, 10 % for validation and 10 % for the test.

    `labels` are those of ImageDataModule, by default the digit alone. Raises UserError without scikit-learn.
    """

    def __init__(self, labels: Mapping[str, Any] | None = None, **loaders: Any):
        super().__init__({"format": "digits"}, name="digits", labels=labels or {"digit": "identity"}, **loaders)
        self.settings = {key: self.settings[key] for key in ("labels", "seed", "eval_batch_size")}

    def checkpoint_settings(self) -> dict[str, Any]:
        return {**self.settings, "format": "digits"}  # checkpoints name it without its path
