"""Between tensors and the arrays that compiled kernels work on."""

import functools
import logging

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger(__name__)
CPU = torch.device("cpu")


def work_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which a sound is computed: float32, in which half precision is too, or float64."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def of_kernel(tensor: Tensor, dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
    """Return a tensor on the device where the kernels run, with a gradient to where it comes from."""
    if device.type == "cpu" != tensor.device.type:
        tell_of_copy(tensor.device.type)
    return tensor.to(device).to(dtype)  # first the device: mps has no float64


def array(tensor: Tensor) -> np.ndarray:
    """Return a tensor's values as a C-contiguous array, without a copy if they are."""
    return tensor.detach().contiguous().numpy()


def own_array(tensor: Tensor) -> np.ndarray:
    """Return a tensor's values as a new C-contiguous array that a kernel may change."""
    return tensor.detach().clone(memory_format=torch.contiguous_format).numpy()


@functools.cache
def tell_of_copy(device: str) -> None:
    """Log, once for each kind of device, that its tensors are copied."""
    log.info(f"differentiable voices use kernels for the CPU; they work on a copy of what is on {device}")
