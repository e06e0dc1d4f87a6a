"""Between tensors and the arrays that compiled kernels work on."""

import functools
import logging
from typing import overload

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger(__name__)


def work_dtype(*tensors: Tensor) -> torch.dtype:
    """Return float64 if a tensor has it, otherwise float32, in which half precision is computed."""
    return torch.float64 if any(one.dtype == torch.float64 for one in tensors) else torch.float32


@overload
def of_kernel(tensor: Tensor, dtype: torch.dtype) -> Tensor: ...
@overload
def of_kernel(tensor: None, dtype: torch.dtype) -> None: ...
def of_kernel(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return a tensor on the CPU, where the compiled kernels run, with a gradient to where it comes from."""
    if tensor is None:
        return None
    if tensor.device.type != "cpu":
        _tell_once(tensor.device.type)
    return tensor.to("cpu").to(dtype)  # first the device: mps has no float64


def array(tensor: Tensor) -> np.ndarray:
    """Return a tensor's values as a C-contiguous array, without a copy if they are."""
    return tensor.detach().contiguous().numpy()


def own_array(tensor: Tensor) -> np.ndarray:
    """Return a tensor's values as a new C-contiguous array that a kernel may change."""
    return tensor.detach().clone(memory_format=torch.contiguous_format).numpy()


@functools.cache
def _tell_once(device: str) -> None:
    log.info(f"differentiable voices have kernels for the CPU only; they work on a copy of what is on {device}")
