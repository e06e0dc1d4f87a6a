"""Which kernels a computation would need on a Mac's GPU, found without one.

torch ships the table from which its dispatcher is generated, native_functions.yaml: for each operator the devices that
have a kernel. An operator without one fails on MPS, or runs on the CPU with a warning if PYTORCH_ENABLE_MPS_FALLBACK is
set. float64 and complex128 do not exist there at all.
"""

import functools
from pathlib import Path
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
        name = function.name().removeprefix("aten::")
        if not has_kernel(name):
            self.faults.add(name)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        self.faults |= {f"{name} of {tensor.dtype}" for tensor in tensors if tensor.dtype in _ABSENT}
        if any(tag in function.tags for tag in _WAITING):
            self.waits.add(name)
        return result


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
