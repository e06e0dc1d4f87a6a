"""Which code a file may name: what this program lists, and what the user trusts."""

import sys
from collections.abc import Iterable

from hydra.utils import get_object

from src.utils.errors import UserError, first_line, shown

_NEVER_ADVISED = {*sys.stdlib_module_names, "torch", "lightning", "hydra", "omegaconf", "numpy", "timm", "auraloss"}


def trusted_paths(given: object) -> tuple[str, ...]:
    """Return the value of `trust` as dotted paths; raise UserError for anything else."""
    paths = [given] if isinstance(given, str) else given
    if paths is None:
        return ()
    if not isinstance(paths, Iterable) or not all(isinstance(path, str) and is_dotted(path) for path in paths):
        raise UserError(
            f"trust: {shown(given)} given; an entry must be the dotted path of a module or a class, "
            "as in trust=[my_networks]"
        )
    return tuple(paths)


def is_dotted(path: str) -> bool:
    """Return whether a text is a dotted path of Python names, such as my_networks.Mine."""
    return all(part.isidentifier() for part in path.split("."))


def names_module(path: str, trust: Iterable[str]) -> bool:
    """Return whether a dotted path is in `trust`, or below a module in `trust`."""
    return is_dotted(path) and any(f"{path}.".startswith(f"{trusted}.") for trusted in trust)


def is_trusted(path: str, trust: Iterable[str]) -> bool:
    """Return whether `trust` covers a class that a file names: that class itself, or the module that defines it.

    A trusted module does not cover what it imports from elsewhere: `my_networks.os.system` is not the user's code.
    Raises UserError if a trusted class cannot be imported or is not a class.
    """
    if not names_module(path, trust):
        return False
    try:
        found = get_object(path)
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: cannot be imported ({first_line(error)})") from error
    if not isinstance(found, type):
        raise UserError(f"{path}: a {type(found).__name__}, which a file may not name; only a class can be trusted")
    return path in trust or names_module(f"{found.__module__}.{found.__qualname__}", trust)


def how_to_trust(path: str) -> str:
    """Return the end of a message that refuses a path: how to allow it, if it may be the user's own code."""
    root = path.partition(".")[0]
    if root == path or not is_dotted(path) or root in _NEVER_ADVISED:
        return "use a file from a source that you trust"
    return f"if it is your code, give trust=[{path}], or list it in configs/local/trust.yaml"
