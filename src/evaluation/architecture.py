"""The shapes, weights and multiply-adds of each module of a model, measured by running it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Layer:
    """One module of a model; shapes are without the batch axis."""

    name: str  # dotted path
    kind: str  # class
    input_shape: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def describe_layers(model: nn.Module, *inputs: Tensor) -> list[Layer]:
    """Return every layer that has weights, multiplies, or changes the shape, in order of execution.

    `inputs` are those of one sample, with the batch axis. What a module itself holds or multiplies, without its
    children (a class token, attention's products), is a row under the module's name. Multiply-adds are half of the
    operations that torch counts: convolutions and matrix products, without activations and norms.
    """
    calls = _run(model, inputs)
    own = {name: call.multiply_adds for name, call in calls.items()}
    parents = {name: parent for name in calls if (parent := _parent(name, calls))}
    for name, parent in parents.items():
        own[parent] -= calls[name].multiply_adds
    rows = []
    for name, call in calls.items():
        parameters = sum(parameter.numel() for parameter in call.module.parameters(recurse=False))
        reshapes = name not in parents.values() and call.input_shape != call.shape
        if parameters or own[name] or reshapes:
            rows.append(call.layer(name, parameters, own[name]))
    return rows


def describe_blocks(model: nn.Module, *inputs: Tensor) -> list[Layer]:
    """Return the blocks that a model runs in sequence, coarser than layers, for a drawing.

    Sequential containers and modules with more than three quarters of all weights are expanded, other modules are
    one block; norms and activations are left out.
    """
    calls = _run(model, inputs)
    total = sum(parameter.numel() for parameter in model.parameters())
    opened, rows = {""}, []
    parents = {name: _parent(name, calls) for name in calls}
    for name, call in calls.items():
        if parents[name] not in opened:
            continue
        parameters = sum(parameter.numel() for parameter in call.module.parameters())
        if name in parents.values() and (isinstance(call.module, nn.Sequential) or 4 * parameters > 3 * total):
            opened.add(name)
        elif call.multiply_adds or call.input_shape != call.shape:
            rows.append(call.layer(name, parameters, call.multiply_adds))
    return rows


@dataclass
class _Call:
    module: nn.Module
    input_shape: tuple[int, ...]
    shape: tuple[int, ...] = ()
    multiply_adds: int = 0

    def layer(self, name: str, parameters: int, multiply_adds: int) -> Layer:
        return Layer(name, type(self.module).__name__, self.input_shape, self.shape, parameters, multiply_adds)


def _parent(name: str, calls: dict[str, _Call]) -> str:
    """Return the innermost enclosing module that ran itself, which a ModuleList, for example, never does."""
    while name := name.rpartition(".")[0]:
        if name in calls:
            return name
    return ""


def _run(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, _Call]:
    """Run a model once; return each module's input and output, by its path from the model's class name."""
    calls: dict[str, _Call] = {}
    root = type(model).__name__  # as FlopCounterMode names it
    hooks = []
    for path, module in model.named_modules():
        name = f"{root}.{path}" if path else root

        def before(module: nn.Module, given: Any, name: str = name) -> None:
            calls.setdefault(name, _Call(module, _shape(given)))

        def after(module: nn.Module, given: Any, out: Any, name: str = name) -> None:
            calls[name].shape = _shape(out)

        hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    was_training = model.training
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model.eval()(*inputs)  # MATH: torch does not count the products inside a CPU's fused attention
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    for name, operations in counter.get_flop_counts().items():
        if name in calls:
            calls[name].multiply_adds = sum(operations.values()) // 2
    return calls


def _shape(value: Any) -> tuple[int, ...]:
    """Return the shape of a first input or an output, without the batch axis; heads' (B, K) are added up."""
    if isinstance(value, dict):
        return (sum(output.shape[-1] for output in value.values()),)
    while isinstance(value, tuple | list) and value:
        value = value[0]
    return tuple(value.shape[1:]) if isinstance(value, Tensor) else ()
