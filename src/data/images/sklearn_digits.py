"""The 1,797 handwritten digits of 8 x 8 pixels that the package scikit-learn contains.

Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

from pathlib import Path

import numpy as np

from src.data.images.image_set import Classes, ImageSet, ImageSplit
from src.utils.errors import UserError

_FULL_SCALE = 16.0  # the number of black dots in a cell of 4 x 4


def read_digits(root: Path | None = None) -> ImageSet:
    """Return the digits, which need no folder; raise UserError without scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError("data=digits: scikit-learn is not installed; uv pip install scikit-learn") from error
    levels, classes = load_digits(return_X_y=True)
    images = np.rint(levels * (255.0 / _FULL_SCALE)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return ImageSet(Classes(tuple("0123456789")), ImageSplit(images, classes.astype(np.int64)), None)
