"""A trainer that only trains: no validation unless asked for, no logger, no checkpoint, nothing on the screen."""

from typing import Any

from lightning import Trainer


def bare_trainer(max_epochs: int, limit_val_batches: float = 0, **options: Any) -> Trainer:
    """Return a trainer on the CPU; `options` are Lightning's."""
    return Trainer(
        accelerator="cpu",
        max_epochs=max_epochs,
        logger=False,
        num_sanity_val_steps=0,
        limit_val_batches=limit_val_batches,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        **options,
    )
