"""Compiling the loops of voices with numba, and keeping the machine code on disk where that is possible."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from numba import njit

log = logging.getLogger(__name__)

_OPTIONS = {"nogil": True, "error_model": "numpy"}  # threads run at once; a division by zero is inf, as numpy's


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a kernel: it is compiled at its first call, and read from numba's cache at later ones.

    The cache is beside the module, in the user's cache directory, or in NUMBA_CACHE_DIR. Where none of them can be
    written, each process compiles for itself, with the same results.
    """
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        _warn_once()
        return njit(**_OPTIONS)(function)


@functools.cache
def _warn_once() -> None:
    log.warning(
        "no directory for compiled kernels can be written, so this command compiles them, which takes some seconds; "
        "set NUMBA_CACHE_DIR to a directory that can be written to do this only once"
    )
