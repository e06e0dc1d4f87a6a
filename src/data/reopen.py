"""Open the data of a checkpoint again, for a test."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_class

from src.data.datamodule import BatchDataModule
from src.data.images.datamodule import ImageDataModule
from src.data.images.digits import DigitsDataModule
from src.data.notes.datamodule import NotesDataModule
from src.data.origin import is_expensive
from src.data.recipe import parse_recipe
from src.synth.sources import require_source
from src.utils.errors import UserError, one_line, shown
from src.utils.trust import how_to_trust, is_trusted, trusted_paths

_PACKAGED = Path("/usr/share/datasets")  # where Debian's packages of datasets put them


def reopened(
    settings: Mapping[str, Any], trust: Iterable[str] = (), data_dir: object = None, root: str | Path = "data"
) -> BatchDataModule | None:
    """Return the datamodule that a checkpoint's data settings name, or None if they are those of a VIMH directory.

    `format` is images, notes, or the class of a user's own datamodule, which `trust` must cover; it is called with the
    other settings. Images are read from `data_dir`, by default from the folder of their name in `root`. Raises
    UserError if the datamodule cannot be built, or for a directory that it does not read.
    """
    kind = settings.get("format")
    if kind is None:
        return None
    arguments = {key: value for key, value in settings.items() if key != "format"}
    if kind == "images" and settings["reader"].get("format") != "digits":
        return ImageDataModule(root=_image_folder(arguments, data_dir, Path(root)), **arguments)
    if data_dir:
        raise UserError(
            f"data.data_dir: {data_dir} given, but this model was not trained on a VIMH directory; leave it out"
        )
    if kind == "images":
        return ImageDataModule(**arguments)
    if kind == "digits":  # in checkpoints of older versions
        return DigitsDataModule(**arguments)
    if kind == "notes":
        return _notes(arguments, trust)
    if not is_trusted(kind, trusted_paths(trust)):
        raise UserError(f"data_settings.format: {shown(kind)} is the class of its data; {how_to_trust(kind)}")
    found = get_class(kind)
    if not issubclass(found, BatchDataModule):
        raise UserError(f"data_settings.format: {kind} is no BatchDataModule")
    try:
        return found(**arguments)
    except TypeError as error:
        raise UserError(f"data_settings: {one_line(error)}") from error


def _notes(settings: Mapping[str, Any], trust: Iterable[str]) -> NotesDataModule:
    """Return mixtures of notes; raise UserError if their voice is not trusted or there are too many of them."""
    recipe = parse_recipe(settings["recipe"])
    require_source(recipe.synth.voice, recipe.synth.source, trusted_paths(trust))
    datamodule = NotesDataModule(**settings)
    size = recipe.dataset.size
    if is_expensive(datamodule.mixer.source, size * (1 + datamodule.mixer.notes)):  # each note is analysed, too
        raise UserError(f"data_settings: {size} mixtures of notes may take more than a minute or 500 MB; train again")
    return datamodule


def _image_folder(settings: Mapping[str, Any], given: object, root: Path) -> Path:
    """Return the folder of a set of images; raise UserError if it has to be given."""
    if given:
        return Path(str(given))
    usual = root / settings["name"]
    for path in (usual, _PACKAGED / settings["name"]):
        if path.is_dir():
            return path
    raise UserError(f"data.data_dir: not given, and {usual} does not exist; give the folder of the images")
