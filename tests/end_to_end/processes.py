"""What a test of several processes puts into each of them, named by dotted path in its overrides."""

import json
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from torch import nn


class Watch(Callback):
    """Writes what a process draws at random, and its weights and buffers when it validates, to `rank_{rank}.json`."""

    def __init__(self, directory: str):
        self.directory = Path(directory)
        self.draws, self.states = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.draws.append(torch.rand(()).item())

    def on_validation_end(self, trainer, pl_module):
        self.states.append({name: one.double().sum().item() for name, one in pl_module.state_dict().items()})

    def on_train_end(self, trainer, pl_module):
        found = json.dumps({"draws": self.draws, "states": self.states})
        (self.directory / f"rank_{trainer.global_rank}.json").write_text(found)


class NormedNetwork(nn.Module):
    """A layer and batch norm, whose averages each process makes of its own samples."""

    def __init__(self, in_channels: int, image_size: tuple[int, int]):
        super().__init__()
        self.feature_dim = 8
        pixels = in_channels * image_size[0] * image_size[1]
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 8), nn.BatchNorm1d(8))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image)
