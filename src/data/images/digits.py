"""The datamodule of scikit-learn's digits: a classification task in seconds."""

from collections.abc import Mapping
from typing import Any

from src.data.images.datamodule import ImageDataModule


class DigitsDataModule(ImageDataModule):
    """The digits of src.data.images.sklearn_digits; by default the digit is the only label."""

    def __init__(self, labels: Mapping[str, Any] | None = None, **more: Any):
        super().__init__({"format": "digits"}, name="digits", labels=labels or {"digit": "identity"}, **more)
