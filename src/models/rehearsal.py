"""Build a model from an untrusted file only after checking the sizes that it needs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from src.utils.errors import UserError

_LARGEST_TENSOR = 2**24  # elements: 64 MiB of float32, an image of 512 x 512 with 64 channels
_MOST_BYTES = 320 * 2**20  # of all tensors at one time, in addition to four copies of the weights
_FEWEST_CHANNELS = 16  # of an image in a convolution on a CPU, which adds what is missing


class _Bounded(TorchFunctionMode):
    """Refuses a tensor of more than `most` elements, and tensors of more than `most_bytes` at one time.

    On the meta device it does not use memory.
    """

    def __init__(self, most: int, most_bytes: int):
        super().__init__()
        self.most, self.most_bytes = most, most_bytes
        self.alive: dict[StorageWeakRef, int] = {}
        self.bytes = 0  # of `alive`, some of which may have been freed

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided:
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        size = tensor.numel()
        if tensor.ndim == 4 and 0 < tensor.shape[1] < _FEWEST_CHANNELS:
            size = size // tensor.shape[1] * _FEWEST_CHANNELS
        if size > self.most:
            raise UserError(
                f"its config needs a tensor of shape {tuple(tensor.shape)}; the maximum is {self.most} elements, with "
                f"at least {_FEWEST_CHANNELS} channels; train again with smaller images or layers"
            )
        storage = StorageWeakRef(tensor.untyped_storage())
        if storage not in self.alive:
            self.alive[storage] = tensor.untyped_storage().nbytes()
            self.bytes += self.alive[storage]
        if self.bytes > self.most_bytes:
            self.alive = {one: size for one, size in self.alive.items() if not one.expired()}
            self.bytes = sum(self.alive.values())
        if self.bytes > self.most_bytes:
            raise UserError(
                f"its config needs tensors of {self.bytes} bytes at one time; the maximum is {self.most_bytes}; "
                "train again with smaller images or layers"
            )


@contextmanager
def bounded(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Refuse a model that is built here as soon as it has many more parameters, or larger tensors, than `weights`.

    This stops a model of a million layers early.
    """
    most = 2 * len(weights) + 100  # a layer may be built and replaced, such as timm's classifiers
    found = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal found
        found += parameter is not None
        if found > most:
            raise UserError("its config describes more layers than the file has weights for; train again")

    handle = register_module_parameter_registration_hook(count)
    try:
        sizes = [weight.numel() for weight in weights.values()]
        with _Bounded(max([_LARGEST_TENSOR, *sizes]), _MOST_BYTES + 4 * 4 * sum(sizes)):
            yield
    finally:
        handle.remove()


def rehearse_network(build: Callable[[], nn.Module], weights: Mapping[str, Tensor], image: tuple[int, ...]) -> None:
    """Build a network without memory, load its weights and run it on an image (C, H, W).

    Raises UserError if the weights belong to another network or are larger than an untrusted file may need, and
    any error that the network raises for invalid arguments.
    """
    with torch.device("meta"), torch.no_grad(), bounded(weights):
        network = build().eval()
        load_matching(network, {name: torch.empty_like(value, device="meta") for name, value in weights.items()})
        network(torch.empty(1, *image))


def load_matching(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights with exactly a model's names and shapes; raise UserError for the weights of another model."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"ckpt_path: its weights belong to another model ({cause}); give the same model=...") from error
