"""Compile the loops of voices with numba, and cache the machine code on disk if possible."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

log = logging.getLogger(__name__)

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
}  # threads run in parallel; a division by zero is inf, as in numpy


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a kernel, which is compiled at its first call and later read from numba's cache.

    The cache is next to the module, in the user's cache directory, or in NUMBA_CACHE_DIR. If none of them can be
    written, each process compiles the kernel itself, with the same results.
    """
    return _compile(function, _OPTIONS)


def compiled_fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a kernel as `compiled` does; it may round a product and a sum at once.

    This is faster, but its last digits differ between processors. It is for gradients, not for the sounds of a dataset.
    """
    return _compile(function, _OPTIONS | {"fastmath": {"contract"}})


def _compile(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        _warn_once()
        return njit(**options)(function)


def own_copy(x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Return an array with the values of `x` for a kernel to change: `out`, which may be `x` itself, or a new one."""
    if out is None:
        return x.copy()
    if out is not x:
        np.copyto(out, x)
    return out


@functools.cache
def _warn_once() -> None:
    log.warning(
        "no directory for compiled kernels can be written, so each command compiles them, which takes some seconds; "
        "set NUMBA_CACHE_DIR to a directory that can be written to compile them only once"
    )
