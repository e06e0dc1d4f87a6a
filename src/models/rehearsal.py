"""Building a model of a stranger's file: what it asks for is known before it is allocated."""

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
    """Refuses every tensor of more than `most` elements; on the meta device it has taken no memory by then."""

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, Tensor) and one.numel() > self.most:
                raise UserError(f"its config asks for {one.numel()} numbers at once; {self.most} is the most")
        return result


@contextmanager
def bounded(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Refuse what is built here as soon as it has many more parameters, or a larger tensor, than `weights`.

    So a model of a million layers ends early.
    """
    most = 2 * len(weights) + 100  # a layer may be made and replaced, as timm's classifiers are
    found = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal found
        found += parameter is not None
        if found > most:
            raise UserError("its config asks for a model of more layers than it holds weights of")

    handle = register_module_parameter_registration_hook(count)
    try:
        with _Bounded(max([_LARGEST_TENSOR, *(one.numel() for one in weights.values())])):
            yield
    finally:
        handle.remove()


def rehearse_network(build: Callable[[], nn.Module], weights: Mapping[str, Tensor], image: tuple[int, ...]) -> None:
    """Build a network without memory, load its weights into it and run it on an image (C, H, W).

    Raises UserError if the weights belong to another network or are larger than a stranger's file may ask for, and
    any error that the network raises for invalid arguments.
    """
    with torch.device("meta"), torch.no_grad(), bounded(weights):
        network = build().eval()
        load_matching(network, {name: torch.empty_like(one, device="meta") for name, one in weights.items()})
        network(torch.empty(1, *image))


def load_matching(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights of exactly a model's names and shapes; raise UserError for those of another."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"ckpt_path: its weights are another model's ({cause}); give the same model=...") from error
