"""The shapes, weights and multiply-adds of each module of a model, measured by running it."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from src.models.vimh_lit_module import VIMHLitModule


@dataclass
class Layer:
    """One module of a model; shapes are without the batch axis."""

    name: str  # dotted path
    kind: str  # class
    input_shape: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def black_inputs(model: VIMHLitModule) -> tuple[Tensor, ...]:
    """Return a black image, and its dB range if the model takes it, with a batch axis."""
    image = torch.zeros(1, *model.spec.image_shape)
    return (image, torch.zeros(1, 2)) if model.auxiliary else (image,)


def describe_layers(model: nn.Module, *inputs: Tensor) -> list[Layer]:
    """Return every layer that has weights, multiplies, or changes the shape, in order of execution.

    `inputs` are those of one sample, with the batch axis. What a module itself holds or multiplies, without its
    children (a class token, attention's products), is a row under the module's name. Multiply-adds are half of the
    operations that torch counts: convolutions and matrix products, without activations and norms.
    """
    layers = _run(model, inputs)
    rows = {name: replace(layer) for name, layer in layers.items()}
    parents = {name: _parent(name, layers) for name in layers}
    for name, parent in parents.items():
        if parent:
            rows[parent].parameters -= layers[name].parameters
            rows[parent].multiply_adds -= layers[name].multiply_adds
    found = []
    for name, row in rows.items():
        reshapes = name not in parents.values() and row.input_shape != row.shape
        if row.parameters or row.multiply_adds or reshapes:
            found.append(row)
    return found


def describe_blocks(model: nn.Module, *inputs: Tensor) -> list[Layer]:
    """Return the blocks that a model runs in sequence, coarser than layers, for a drawing.

    Sequential containers and modules with more than three quarters of all weights are expanded, other modules are
    one block; norms and activations are left out.
    """
    layers = _run(model, inputs)
    parents = {name: _parent(name, layers) for name in layers}
    opened, rows = {""}, []
    for name, layer in layers.items():
        if parents[name] not in opened:
            continue
        is_sequential = isinstance(model.get_submodule(name.partition(".")[2]), nn.Sequential)
        is_most = 4 * layer.parameters > 3 * layers[type(model).__name__].parameters
        if name in parents.values() and (is_sequential or is_most):
            opened.add(name)
        elif layer.multiply_adds or layer.input_shape != layer.shape:
            rows.append(layer)
    return rows


def _parent(name: str, layers: dict[str, Layer]) -> str:
    """Return the innermost enclosing module that ran itself, which a ModuleList, for example, never does."""
    while name := name.rpartition(".")[0]:
        if name in layers:
            return name
    return ""


def _run(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Layer]:
    """Run a model once; return each module with its children, by its path from the model's class name."""
    layers: dict[str, Layer] = {}
    root = type(model).__name__  # as FlopCounterMode names it
    hooks = []
    for path, module in model.named_modules():
        name = f"{root}.{path}" if path else root

        def before(module: nn.Module, given: Any, name: str = name) -> None:
            parameters = sum(parameter.numel() for parameter in module.parameters())
            layers.setdefault(name, Layer(name, type(module).__name__, _shape(given), (), parameters, 0))

        def after(module: nn.Module, given: Any, out: Any, name: str = name) -> None:
            layers[name].shape = _shape(out)

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
        if name in layers:
            layers[name].multiply_adds = sum(operations.values()) // 2
    return layers


def _shape(value: Any) -> tuple[int, ...]:
    """Return the shape of a first input or an output, without the batch axis; heads' (B, K) are added up."""
    if isinstance(value, dict):
        return (sum(output.shape[-1] for output in value.values()),)
    while isinstance(value, tuple | list) and value:
        value = value[0]
    return tuple(value.shape[1:]) if isinstance(value, Tensor) else ()
