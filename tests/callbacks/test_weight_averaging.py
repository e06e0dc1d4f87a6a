"""Averaged weights against sums in float64, and what validation, checkpoints and resumed runs make of them."""

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.utils.data import DataLoader

from src.callbacks.weight_averaging import ExponentialAverage, StochasticAverage
from src.data.vimh_datamodule import VIMHDataModule
from src.models.build import load_checkpoint
from src.utils.errors import UserError
from tests import running

STEPS, EPOCHS = 5, 8
STOP = ("+callbacks.stop._target_=tests.end_to_end.callbacks.Interrupt", "+callbacks.stop.epoch=2")


class Net(LightningModule):
    """Batch norm's statistics, a counter, and a buffer that validation writes, beside weights."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.register_buffer("residual", torch.full((), torch.nan))
        self.seen = []

    def training_step(self, batch, batch_idx):
        return self.layers(batch).square().mean()

    def validation_step(self, batch, batch_idx):
        self.seen.append(arrays(self))

    def on_validation_epoch_end(self):
        self.residual.fill_(len(self.seen))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Recorder(Callback):
    """The weights that every step left."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.steps.append(arrays(pl_module))


def arrays(module):
    return {name: value.double().numpy().copy() for name, value in module.state_dict().items()}


def fitted(average, tmp_path, **options):
    torch.manual_seed(0)
    data = DataLoader(torch.randn(6 * STEPS, 3), batch_size=6)
    model, recorder = Net(), Recorder()
    given = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    given |= {
        "max_epochs": EPOCHS,
        "enable_checkpointing": False,
        "default_root_dir": tmp_path,
        "num_sanity_val_steps": 0,
    }
    trainer = Trainer(callbacks=[recorder, average], **given, **options)
    trainer.fit(model, data, DataLoader(torch.randn(6, 3), batch_size=6))
    return model, recorder.steps


def close(one, other, but=("num_batches_tracked", "residual")):
    for name, value in one.items():
        if not name.endswith(but):
            np.testing.assert_allclose(value, other[name], rtol=2e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_ema_matches_float64_and_validation_sees_it(tmp_path, accumulate):
    model, steps = fitted(ExponentialAverage(decay=0.9), tmp_path, accumulate_grad_batches=accumulate)
    ends = [at % STEPS for at in range(1, len(steps) + 1)]
    stepped = [one for one, at in zip(steps, ends, strict=True) if at == 0 or at % accumulate == 0]
    average, at_epochs = None, []
    for n, weights in enumerate(stepped, start=1):
        decay = min(0.9, (1 + n) / (10 + n))
        average = weights if average is None else {k: decay * average[k] + (1 - decay) * weights[k] for k in weights}
        if n % -(-STEPS // accumulate) == 0:
            at_epochs.append(average)
    for seen, expected in zip(model.seen, at_epochs, strict=True):
        close(seen, expected)
    close(arrays(model), average)
    assert model.layers[1].num_batches_tracked == STEPS * EPOCHS and model.residual == EPOCHS


def test_swa_matches_the_mean_of_the_last_epochs_ends(tmp_path):
    model, steps = fitted(StochasticAverage(start=0.6), tmp_path)
    ends = steps[STEPS - 1 :: STEPS]
    for epoch, seen in enumerate(model.seen):
        since = min(epoch, 5)  # epochs 5, 6, 7 of 8 come after the share 0.6; before them nothing is averaged
        close(seen, {name: np.mean([one[name] for one in ends[since : epoch + 1]], axis=0) for name in seen})
    close(arrays(model), model.seen[-1])


@pytest.mark.parametrize("name", ["ema", "swa"])
def test_the_best_checkpoint_is_the_average_that_validation_chose(data_root, saw, tmp_path, name):
    score = running.run("train", data_root, tmp_path, f"callbacks=[default,{name}]", "trainer.max_epochs=4")
    best = torch.load(tmp_path / "checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] > 0
    model = load_checkpoint(tmp_path / "checkpoints/best.ckpt")
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (found,) = trainer.validate(model, VIMHDataModule(saw), verbose=False)
    assert found["val/nmae"] == pytest.approx(score, rel=1e-6)
    current, average = best["current_model_state"], best["state_dict"]
    assert name == "swa" or not torch.equal(current["heads.linear.weight"], average["heads.linear.weight"])
    fitted = [key for key in average if ".calibration." in key]
    assert fitted and all(torch.equal(current[key], average[key]) for key in fitted)


@pytest.mark.long
@pytest.mark.parametrize("name", ["ema", "swa"])
def test_a_resumed_average_goes_on_where_it_was(data_root, saw, tmp_path, name):
    given = (f"callbacks=[default,{name}]", "logger=none", "trainer.max_epochs=5")
    swa = ("callbacks.swa.start=0.2",) if name == "swa" else ()
    running.run("train", data_root, tmp_path / "straight", *given, *swa)
    with pytest.raises(SystemExit):
        running.run("train", data_root, tmp_path / "first", *given, *swa, *STOP)
    last = f"ckpt_path={tmp_path / 'first/checkpoints/last.ckpt'}"
    running.run("train", data_root, tmp_path / "resumed", *given, *swa, last)
    one, other = (
        torch.load(tmp_path / run / "checkpoints/last.ckpt", weights_only=True) for run in ("straight", "resumed")
    )
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(value, other[key][at]) for at, value in one[key].items())
    results = [(tmp_path / run / "test_results.json").read_text() for run in ("straight", "resumed")]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ExponentialAverage(decay=1.0), "callbacks.ema.decay: 1.0 given"),
        (lambda: StochasticAverage(start=1.0), "callbacks.swa.start: 1.0 given"),
    ],
)
def test_what_would_average_nothing_is_one_line(make, words):
    with pytest.raises(UserError, match=words):
        make()


def test_split_weights_and_endless_runs_are_refused():
    average = StochasticAverage()
    with pytest.raises(UserError, match=r"callbacks.swa: .* trainer.max_epochs"):
        average.setup(Trainer(accelerator="cpu", max_epochs=-1, logger=False), Net(), "fit")
    trainer = Trainer(accelerator="cpu", max_epochs=3, logger=False)
    trainer._accelerator_connector.strategy = FSDPStrategy()
    with pytest.raises(UserError, match="fsdp splits it; use trainer=ddp"):
        average.setup(trainer, Net(), "fit")
