"""A model of a stranger's file, built without memory first: what it asks for is known before it is allocated."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from src.utils.errors import UserError

_LARGEST_TENSOR = 2**25  # elements: 128 MiB of float32, an image of 512 x 512 with 128 channels
_MOST_TABLES = 2**26  # elements of all that a model computes for itself: levels, targets of levels, windows


class _Bounded(TorchFunctionMode):
    """Refuses every tensor of more than `_LARGEST_TENSOR` elements, which on the meta device take no memory."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, Tensor) and one.numel() > _LARGEST_TENSOR:
                raise UserError(f"it asks for {one.numel()} numbers at once; {_LARGEST_TENSOR} is the most")
        return result


@contextmanager
def _at_most(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Refuse the first parameter that is one more, or larger in all, than `weights`: a model of many layers ends."""
    most, numbers = len(weights), sum(one.numel() for one in weights.values())
    found = {"parameters": 0, "numbers": 0}

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is None:
            return
        found["parameters"] += 1
        found["numbers"] += parameter.numel()
        # a layer may be made twice, or another's number of outputs changed afterwards, as timm's classifiers are
        if found["parameters"] > 2 * most + 100 or parameter.numel() > numbers + _LARGEST_TENSOR:
            raise UserError("its config asks for a larger model than its weights are")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def rehearse(build: Callable[[], nn.Module], weights: Mapping[str, Tensor], *inputs: tuple[int, ...]) -> None:
    """Build a model on the meta device, load weights into it and run it on inputs of these shapes.

    UserError where it is another model than the weights', or larger than a stranger's file may ask for; whatever the
    network raises for arguments that make no sense.
    """
    with torch.device("meta"), torch.no_grad(), _Bounded(), _at_most(weights):
        model = build().eval()
        kept = model.state_dict()
        tables = sum(one.numel() for name, one in model.named_buffers() if name not in kept)
        if tables > _MOST_TABLES:
            raise UserError(f"its config asks for tables of {tables} numbers; {_MOST_TABLES} is the most")
        load_matching(model, {name: torch.empty_like(one, device="meta") for name, one in weights.items()})
        model(*(torch.empty(shape) for shape in inputs))


def load_matching(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights of exactly a model's names and shapes; UserError for those of another."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"ckpt_path: its weights are another model's ({cause}); give the same model=...") from error
