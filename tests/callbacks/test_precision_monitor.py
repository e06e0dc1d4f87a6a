"""Loss scales, skipped steps and non-finite counts against what was done to the run."""

import logging
import math

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision

from src.callbacks.precision_monitor import PrecisionMonitor
from src.data.vimh_datamodule import VIMHDataModule
from src.models.build import build_model
from tests import running


class Record(Callback):
    """Keeps what is logged each epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_end(self, trainer, pl_module):
        logged = trainer.callback_metrics
        self.epochs.append({k: float(v) for k, v in logged.items() if k.startswith("precision/")})


class Spoil(Callback):
    """Makes the loss, or a gradient, of some batches of each epoch infinite."""

    def __init__(self, losses=(), gradients=()):
        self.losses, self.gradients = losses, gradients

    def on_train_start(self, trainer, pl_module):
        step, spoilt = pl_module.training_step, lambda at: math.inf if at in self.losses else 0.0
        pl_module.training_step = lambda batch, batch_idx: step(batch, batch_idx) + spoilt(batch_idx)
        weight = next(pl_module.parameters())
        weight.register_hook(lambda gradient: gradient * (math.inf if self.now in self.gradients else 1.0))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.now = batch_idx


def trained(saw, *callbacks, **options):
    data, record = VIMHDataModule(saw, batch_size=16), Record()
    model = build_model(running.plain("train", "model"), data.spec)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    settings = {"accelerator": "cpu", "max_epochs": 2, "enable_checkpointing": False}
    Trainer(callbacks=[*callbacks, PrecisionMonitor(), record], **(quiet | settings | options)).fit(
        model, datamodule=data
    )
    return record.epochs


def scaled(scale, interval=2000):
    return {
        "plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", scale, growth_interval=interval))]
    }


def test_without_half_precision_there_is_nothing_to_monitor(saw, caplog):
    with caplog.at_level(logging.INFO, logger="src"):
        assert trained(saw, precision="32-true") == [{}, {}]
    (line,) = [record.getMessage() for record in caplog.records if "precision_monitor" in record.getMessage()]
    assert "trainer.precision is 32-true, so there is nothing to monitor" in line


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ({"losses": (1, 2)}, [(2, 0), (2, 0)]),  # by a constant, whose gradient is finite
        ({"gradients": (4,)}, [(1, 2), (6, 6)]),  # the weights are NaN from then on
    ],
)
def test_what_is_not_finite_is_counted_each_epoch(saw, spoilt, expected):
    names = ("precision/nonfinite_losses", "precision/nonfinite_gradients")
    epochs = trained(saw, Spoil(**spoilt), precision="bf16-mixed")
    assert epochs == [dict(zip(names, counts, strict=True)) for counts in expected]


def test_a_scaler_skips_the_steps_of_gradients_that_overflow_and_halves_its_scale(saw):
    epochs = trained(saw, Spoil(gradients=(1, 4)), **scaled(256.0))
    assert [one["precision/skipped_steps"] for one in epochs] == [2, 2]
    assert [one["precision/nonfinite_gradients"] for one in epochs] == [2, 2]
    assert [one["precision/nonfinite_losses"] for one in epochs] == [0, 0]
    assert [one["precision/loss_scale"] for one in epochs] == [64, 16]


def test_the_scale_that_grew_is_logged(saw):
    epochs = trained(saw, **scaled(256.0, interval=3))
    assert [one["precision/loss_scale"] for one in epochs] == [1024, 4096]
    assert [one["precision/skipped_steps"] for one in epochs] == [0, 0]


def test_it_runs_by_config(data_root, saw, tmp_path):
    given = ("callbacks=precision_monitor", "trainer.precision=bf16-mixed", "logger=csv")
    running.run("train", data_root, tmp_path, *given)
    assert "precision/nonfinite_gradients" in (tmp_path / "csv/metrics.csv").read_text().splitlines()[0]
