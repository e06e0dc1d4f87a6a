"""Dynamic time warping of batches against the textbook's loop over cells, in float64."""

import numpy as np
import pytest
import torch

from src.evaluation.metrics.warping import warped_distance


def textbook(a, b):
    """Return the normalised distance of (N, D) and (M, D), Sakoe & Chiba's symmetric form, cell by cell."""
    d = np.abs(a[:, None] - b[None]).mean(axis=2)
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[1, 1] = d[0, 0]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            if i + j > 2:
                steps = total[i - 1, j] + d[i - 1, j - 1], total[i, j - 1] + d[i - 1, j - 1]
                total[i, j] = min(*steps, total[i - 1, j - 1] + 2 * d[i - 1, j - 1])
    return total[-1, -1] / (len(a) + len(b))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 7), (9, 1), (12, 12), (20, 13), (5, 31)])
def test_distances_are_the_textbooks(rows, columns):
    rng = np.random.default_rng(rows)
    a, b = rng.normal(size=(4, rows, 3)), rng.normal(size=(4, columns, 3))
    ours = warped_distance(torch.from_numpy(a).float(), torch.from_numpy(b).float())
    np.testing.assert_allclose(ours, [textbook(*pair) for pair in zip(a, b, strict=True)], rtol=1e-5)


def test_a_sequence_played_slower_is_the_same():
    sequence = torch.randn(2, 10, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(warped_distance(sequence.repeat_interleave(3, dim=1), sequence), torch.zeros(2))
