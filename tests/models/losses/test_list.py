"""The list of losses in a terminal: every name whole, every line within 80 columns."""

import pytest

from src.models.losses import Loss
from src.models.losses.known_modules import AURALOSS, TORCH
from viz.list_losses import listing


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_loss_is_listed_whole_and_no_line_is_too_long(width):
    text = listing(width)
    assert all(len(line) <= width for line in text.splitlines())
    first_words = {line.split()[0] for line in text.splitlines() if line.startswith("  ")}
    assert set(Loss.registry) <= first_words
    words = set(text.replace(",", " ").split())
    assert {f"torch.nn.{name}" for name in TORCH} <= words
    assert {name for names in AURALOSS.values() for name in names} <= words
