"""Stochastic depth: leave out whole residual branches for random samples."""

import torch
from torch import Tensor, nn

from src.utils.errors import UserError


class DropPath(nn.Module):
    """Zero a residual branch (B, ...) for a fraction `rate` of the samples and scale the others by 1 / (1 - rate).

    Acts only in training; the expected value is that of the branch (Huang et al., arXiv 1603.09382).
    """

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise UserError(f"model.network.drop_path: {rate} given; give a fraction from 0 to below 1")
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return branch
        shape = (len(branch),) + (1,) * (branch.ndim - 1)
        kept = torch.rand(shape, device=branch.device) >= self.rate
        return branch * (kept.to(branch.dtype) / (1.0 - self.rate))


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Return the rates of `depth` blocks, rising linearly from 0 to `last`, since all later blocks need the first."""
    return [last * block / max(1, depth - 1) for block in range(depth)]
