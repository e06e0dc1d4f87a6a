"""Dynamic time warping of many pairs of sequences at once."""

import torch
from torch import Tensor


def warped_distance(sequence: Tensor, other: Tensor) -> Tensor:
    """Return the normalised warped distances (B,) of sequences (B, N, D) and (B, M, D).

    The local distance is the mean absolute difference of the D values. Steps are symmetric: a diagonal step counts its
    distance twice, so the total is divided by N + M. All cells of an anti-diagonal are computed at once.

    Source: Sakoe, Chiba, Dynamic Programming Algorithm Optimization for Spoken Word Recognition, IEEE Trans. ASSP
    26(1), 1978 (symmetric form, P = 0).
    """
    batch, rows, dims = sequence.shape
    columns = other.shape[1]
    distances = torch.cdist(sequence.contiguous(), other.contiguous(), p=1.0) / dims
    diagonals = _anti_diagonals(distances)
    unreachable = distances.new_full((batch, 1), torch.inf)
    total = diagonals[0]
    before = torch.full_like(total, torch.inf)
    for distance in diagonals[1:]:
        from_above = torch.cat([unreachable, total[:, :-1]], dim=1)
        from_corner = torch.cat([unreachable, before[:, :-1]], dim=1)
        straight = torch.minimum(total, from_above) + distance
        before, total = total, torch.minimum(straight, from_corner + 2 * distance)
    return total[:, -1] / (rows + columns)


def _anti_diagonals(cells: Tensor) -> Tensor:
    """Return (N + M - 1, B, N): row i of anti-diagonal k holds cell (i, k - i) of (B, N, M), or infinity."""
    batch, rows, columns = cells.shape
    padded = torch.nn.functional.pad(cells, (0, rows), value=torch.inf).flatten(1)
    width = rows + columns - 1  # one less than a padded row, so each row moves right by one more column
    return padded[:, : rows * width].view(batch, rows, width).permute(2, 0, 1).contiguous()
