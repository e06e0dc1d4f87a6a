"""Whose code a file may name: what this program lists, and what its user says he trusts."""

import sys
from collections.abc import Iterable

from hydra.utils import get_object

from src.utils.errors import UserError, first_line, shown

_NEVER_ADVISED = {*sys.stdlib_module_names, "torch", "lightning", "hydra", "omegaconf", "numpy", "timm", "auraloss"}


def trusted_paths(given: object) -> tuple[str, ...]:
    """Return what `trust` was set to as dotted paths; UserError for anything else."""
    paths = [given] if isinstance(given, str) else given
    if paths is None:
        return ()
    if not isinstance(paths, Iterable) or not all(isinstance(path, str) and is_dotted(path) for path in paths):
        raise UserError(
            f"trust: {shown(given)} given; an entry may not be anything but a dotted path of a module or a class, "
            "as in trust=[my_networks]"
        )
    return tuple(paths)


def is_dotted(path: str) -> bool:
    """Tell whether a text is a dotted path of Python names, such as my_networks.Mine."""
    return all(part.isidentifier() for part in path.split("."))


def names_module(path: str, trust: Iterable[str]) -> bool:
    """Tell whether a dotted path is one that is trusted, or lies below a module that is."""
    return is_dotted(path) and any(f"{path}.".startswith(f"{one}.") for one in trust)


def is_trusted(path: str, trust: Iterable[str]) -> bool:
    """Tell whether `trust` covers a class that a file names: that class itself, or the module that defines it.

    A trusted module does not cover what it imports from elsewhere: `my_networks.os.system` is not the user's.
    UserError where a class that is trusted cannot be imported, or is none.
    """
    if not names_module(path, trust):
        return False
    try:
        found = get_object(path)
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: cannot be imported ({first_line(error)})") from error
    if not isinstance(found, type):
        raise UserError(f"{path}: a {type(found).__name__}, which a file may not name; only classes can be trusted")
    return path in trust or names_module(f"{found.__module__}.{found.__qualname__}", trust)


def how_to_trust(path: str) -> str:
    """Return how a message that refuses a path ends: with the way to allow it, where it may be the user's own code."""
    root = path.partition(".")[0]
    if root == path or not is_dotted(path) or root in _NEVER_ADVISED:
        return "use a file from a source that you trust"
    return f"if that is yours, trust=[{path}], or for good in configs/local/trust.yaml"
