"""Which kernels a computation would need on a Mac's GPU, found without one.

torch ships the table from which its dispatcher is generated, native_functions.yaml: for each operator the devices that
have a kernel. An operator without one fails on MPS, or runs on the CPU with a warning if PYTORCH_ENABLE_MPS_FALLBACK is
set. float64 and complex128 do not exist there at all.
"""

import functools
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torchgen
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_COMPOSITE = ("CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional")
_ONLY_CPU = {  # operators that other devices never see: attention chooses its kernel by the device
    "_scaled_dot_product_flash_attention_for_cpu": "_scaled_dot_product_attention_math_for_mps",
    "_scaled_dot_product_flash_attention_for_cpu_backward": "_scaled_dot_product_attention_math_for_mps",
}
_WAITING = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
_ABSENT = (torch.float64, torch.complex128)


class OnMPS(TorchDispatchMode):
    """Collects what a computation on the CPU does that MPS lacks (`faults`), and what waits for a device (`waits`)."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: set[str] = set()
        self.waits: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        namespace, _, name = function.name().partition("::")
        if namespace == "profiler":  # names a region for profilers
            return result
        if not has_kernel(name):
            self.faults.add(name)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        self.faults |= {f"{name} of {tensor.dtype}" for tensor in tensors if tensor.dtype in _ABSENT}
        waits = any(tag in function.tags for tag in _WAITING)
        if name == "index.Tensor":  # the shape depends on values only with a mask
            masks = [leaf for leaf in tree_leaves(args[1]) if isinstance(leaf, torch.Tensor)]
            waits = any(mask.dtype in (torch.bool, torch.uint8) for mask in masks)
        if waits and not _checks_inputs():
            self.waits.add(name)
        return result


def _checks_inputs() -> bool:
    """Return whether a loss checks its inputs, whose range it reads only on the CPU."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.endswith("losses/inputs.py"):
            return True
        frame = frame.f_back
    return False


def has_kernel(name: str) -> bool:
    """Return whether an operator, such as `add.Tensor`, runs on MPS."""
    name = _ONLY_CPU.get(name, name)
    entry = _table().get(name)
    if entry is None:
        return name in _generated()
    if "structured_delegate" in entry:
        return has_kernel(entry["structured_delegate"])
    if "dispatch" not in entry:
        return True  # composed of other operators
    keys = {key.strip() for devices in entry["dispatch"] for key in devices.split(",")}
    return "MPS" in keys or bool(keys & set(_COMPOSITE))


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    path = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    entries = yaml.load(path.read_text(), loader)
    return {entry["func"].partition("(")[0]: entry for entry in entries}


@functools.cache
def _generated() -> set[str]:
    """Return the variants of operators that are generated from others, as compositions."""
    lists = (str(entry.get("autogen", "")) for entry in _table().values())
    return {name.strip() for names in lists for name in names.split(",")}
