"""Open the data of a checkpoint again, for a test."""

from collections.abc import Iterable, Mapping
from typing import Any

from hydra.utils import get_class

from src.data.datamodule import BatchDataModule
from src.data.images.digits import DigitsDataModule
from src.utils.errors import UserError, one_line, shown
from src.utils.trust import how_to_trust, is_trusted, trusted_paths


def reopened(settings: Mapping[str, Any], trust: Iterable[str] = (), data_dir: object = None) -> BatchDataModule | None:
    """Return the datamodule that a checkpoint's data settings name, or None if they are those of a VIMH directory.

    `format` is digits, or the class of a user's own datamodule, which `trust` must cover; it is called with the other
    settings. Raises UserError if it cannot be built, or if a directory is given, which only VIMH data have.
    """
    kind = settings.get("format")
    if kind is None:
        return None
    if data_dir:
        raise UserError(
            f"data.data_dir: {data_dir} given, but this model was not trained on a VIMH directory; leave it out"
        )
    arguments = {key: value for key, value in settings.items() if key != "format"}
    if kind == "digits":
        return DigitsDataModule(**arguments)
    if not is_trusted(kind, trusted_paths(trust)):
        raise UserError(f"data_settings.format: {shown(kind)} is the class of its data; {how_to_trust(kind)}")
    found = get_class(kind)
    if not issubclass(found, BatchDataModule):
        raise UserError(f"data_settings.format: {kind} is no BatchDataModule")
    try:
        return found(**arguments)
    except TypeError as error:
        raise UserError(f"data_settings: {one_line(error)}") from error
