"""Build a model from an untrusted file only after checking the sizes that it needs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from src.utils.errors import UserError

_LARGEST_TENSOR = 2**25  # elements: 128 MiB of float32, an image of 512 x 512 with 128 channels


class _Bounded(TorchFunctionMode):
    """Refuses every tensor of more than `most` elements; on the meta device it does not use memory."""

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor) and tensor.numel() > self.most:
                raise UserError(
                    f"its config needs a tensor of {tensor.numel()} elements; the maximum is {self.most}; train again"
                )
        return result


@contextmanager
def bounded(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Refuse a model that is built here as soon as it has many more parameters, or a larger tensor, than `weights`.

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
        with _Bounded(max([_LARGEST_TENSOR, *(weight.numel() for weight in weights.values())])):
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
