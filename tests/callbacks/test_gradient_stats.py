"""Logged gradient norms and update ratios against plain descent, where both are known by hand."""

import csv

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import FSDPStrategy

from src.callbacks.gradient_stats import GradientStats
from src.data.vimh_datamodule import VIMHDataModule
from src.models.build import build_model
from src.utils.errors import UserError
from tests import running

LR = 0.5
GROUPS = {
    "network.stages.0": ["network.stages.0.weight", "network.stages.0.bias"],
    "network.stages.2": ["network.stages.2.weight", "network.stages.2.bias"],
    "network.stages.4": ["network.stages.4.weight", "network.stages.4.bias"],
    "network.project.2": ["network.project.2.weight", "network.project.2.bias"],
}


class Watch(Callback):
    """Keeps the weights before each step and its gradients, as the heads' rows of one head each where they share."""

    def __init__(self):
        self.weights, self.gradients = [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        for kept, of in ((self.weights, lambda one: one), (self.gradients, lambda one: one.grad)):
            named = {name: of(one).detach().clone() for name, one in pl_module.named_parameters()}
            found = {group: [named[name] for name in names] for group, names in GROUPS.items()}
            for row, head in enumerate(pl_module.spec.space.names):  # one number a head
                found[f"heads.{head}"] = [named["heads.linear.weight"][row], named["heads.linear.bias"][row]]
            kept.append({group: torch.cat([one.reshape(-1) for one in several]) for group, several in found.items()})


def trained(saw, *callbacks, **options):
    data = VIMHDataModule(saw, batch_size=16)
    torch.manual_seed(0)
    config = running.plain("train", "model") | {
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": LR},
        "scheduler": None,
    }
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    once = {"accelerator": "cpu", "max_epochs": 1, "enable_checkpointing": False}
    trainer = Trainer(callbacks=list(callbacks), **(quiet | once | options))
    trainer.fit(build_model(config, data.spec), datamodule=data)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("clip", [None, 1e-3])
def test_norms_and_ratios_match_plain_descent(saw, every, clip):
    watch = Watch()
    logged = trained(saw, watch, GradientStats(every=every), gradient_clip_val=clip)
    looks = range(every - 1, len(watch.gradients), every)
    assert len(watch.gradients) == 6
    for group in watch.gradients[0]:
        norms = torch.stack([watch.gradients[at][group].norm() for at in looks])
        assert logged[f"grad_norm/{group}"] == pytest.approx(float(norms.mean()), rel=1e-4)
        totals = torch.stack([torch.cat(list(watch.gradients[at].values())).norm() for at in looks])
        factors = LR * (clip / totals).clamp(max=1) if clip else torch.full_like(totals, LR)
        weights = torch.stack([watch.weights[at][group].norm() for at in looks])
        expected = float((factors * norms / weights).mean())
        assert logged[f"update_ratio/{group}"] == pytest.approx(expected, rel=2e-2 if clip else 1e-3)
    assert logged["grad_norm/max"] == pytest.approx(float(totals.max()), rel=1e-4)
    assert sum("grad_norm" in name for name in logged) == len(watch.gradients[0]) + 1


def test_an_epoch_shorter_than_its_stride_logs_nothing(saw):
    assert not [name for name in trained(saw, GradientStats(every=7)) if "grad_norm" in name]


def test_steps_of_several_batches_are_looked_at_once(saw):
    watch = Watch()
    logged = trained(saw, watch, GradientStats(every=1), accumulate_grad_batches=3)
    norms = torch.stack([one["network.stages.0"].norm() for one in watch.gradients])
    assert len(norms) == 2 and logged["grad_norm/network.stages.0"] == pytest.approx(float(norms.mean()), rel=1e-4)


def test_split_gradients_are_refused():
    trainer = Trainer(accelerator="cpu", logger=False)
    trainer._accelerator_connector.strategy = FSDPStrategy()
    with pytest.raises(UserError, match=r"fsdp splits the gradients .*; use trainer=ddp"):
        GradientStats().setup(trainer, None, "fit")


@pytest.mark.parametrize("model", ["vit_tiny", "hybrid_tiny"])
def test_it_is_a_column_of_the_log_by_name(data_root, saw, tmp_path, model):
    chosen = ("callbacks=gradient_stats", "callbacks.gradient_stats.every=1", f"model={model}", "wrapper=sam")
    running.run("train", data_root, tmp_path, *chosen)
    with open(tmp_path / "csv/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    for kind in ("grad_norm", "update_ratio"):
        for group in ("heads.note_velocity", "heads.log10_decay_time"):
            assert len([row for row in rows if row.get(f"{kind}/{group}")]) == 2
        assert any(f"{kind}/network." in name and "blocks.1" in name for name in rows[0])
