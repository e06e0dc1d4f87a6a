"""A table of the network's layers before training."""

from typing import cast

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.evaluation.architecture import describe_layers
from src.models.vimh_lit_module import VIMHLitModule


class ModelSummary(Callback):
    """Prints each layer with the shape of its output (without the batch), its parameters and its multiply-adds.

    Lightning's summary shows 0 operations until a batch has run, and also lists losses and metrics.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Run the network once on a black image, before it is compiled or moved to a device."""
        if stage != "fit" or not trainer.is_global_zero:
            return
        module = cast(VIMHLitModule, pl_module)
        image = torch.zeros(1, *module.spec.image_shape, device=module.device)
        scale = (torch.zeros(1, 2, device=module.device),) if module.auxiliary else ()
        with torch.random.fork_rng(devices=[]):
            layers = describe_layers(pl_module, image, *scale)
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=True)
        table.add_column("layer", "total", overflow="fold")
        table.add_column("type", overflow="fold")
        table.add_column("output", no_wrap=True)
        parameters = sum(parameter.numel() for parameter in pl_module.parameters())
        table.add_column("parameters", f"{parameters:,}", justify="right", no_wrap=True)
        multiply_adds = sum(layer.multiply_adds for layer in layers)
        table.add_column("multiply-\nadds", f"{multiply_adds:,}", justify="right", no_wrap=True)
        for layer in layers:
            name = layer.name.partition(".")[2].removeprefix("network.") or layer.name
            counts = (f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
            table.add_row(Text(name), Text(layer.kind), "x".join(map(str, layer.shape)), *counts)
        Console().print(table)
