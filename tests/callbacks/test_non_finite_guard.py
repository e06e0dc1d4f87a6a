"""What a run that is no longer finite says, keeps and leaves, on one process and on two."""

import math
import os
import subprocess
import sys

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.precision import MixedPrecision

from src.callbacks.non_finite_guard import NonFiniteGuard
from src.data.vimh_datamodule import VIMHDataModule
from src.models.build import build_model
from src.utils.errors import UserError
from tests import running

TERMS = {"log10_decay_time": {"loss": {"_target_": "weighted_multi", "losses": [{"loss": "l2"}, {"loss": "l1"}]}}}


class Poison(Callback):
    """Spoils one thing in the third batch of each epoch on one rank."""

    def __init__(self, what, rank=0):
        self.what, self.rank = what, rank

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.now = batch_idx == 2 and trainer.global_rank == self.rank
        if self.now and self.what in batch:
            batch[self.what].view(-1)[1] = math.nan  # of the second head, where it is the target

    def on_train_start(self, trainer, pl_module):
        if self.what == "gradient":
            weight = next(one for name, one in pl_module.named_parameters() if name == "network.stages.2.weight")
            weight.register_hook(lambda gradient: gradient * (math.inf if self.now else 1.0))
        if self.what in pl_module.train_terms.names:
            self.spoil(pl_module)

    def spoil(self, module):
        name, _, term = self.what.partition("/")
        loss = module.heads.heads[name].loss_function
        loss = loss.losses[loss.names.index(term)] if term else loss
        per_example = loss.per_example
        loss.per_example = lambda *given: per_example(*given) + (math.nan if self.now else 0.0)


def trained(saw, output, *callbacks, heads=None, seed=0, plugins=None, **options):
    data = VIMHDataModule(saw, batch_size=16)
    torch.manual_seed(seed)
    config = running.plain("train", "model")
    model = build_model(config | {"heads": config["heads"] | (heads or {})}, data.spec)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    keeps = any(isinstance(one, ModelCheckpoint) for one in callbacks)
    trainer = Trainer(
        callbacks=[*callbacks, NonFiniteGuard(output)],
        plugins=plugins,
        enable_checkpointing=keeps,
        default_root_dir=output,
        use_distributed_sampler=False,  # the loaders share batches out themselves
        **({"accelerator": "cpu", "max_epochs": 2} | quiet | options),
    )
    trainer.fit(model, datamodule=data)
    return model


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("image", "the image is not finite at step 3; .*; the fault is in the dataset"),
        ("target", "the target of log10_decay_time is not finite at step 3; .*; the fault is in the dataset"),
        ("note_velocity", "the loss of note_velocity is nan at step 3; .*model.optimizer.lr"),
        ("log10_decay_time/l1", "the loss of log10_decay_time/l1 is nan at step 3; .*model.optimizer.lr"),
        ("gradient", "the loss is finite, but the gradient of network.stages.2.weight is not finite at step 3; "),
    ],
)
def test_it_names_what_is_not_finite_and_keeps_the_batch(saw, tmp_path, what, words):
    with pytest.raises(UserError, match=words) as fault:
        trained(saw, tmp_path, Poison(what), heads=TERMS)
    (path,) = tmp_path.glob("non_finite_*")
    assert f"its batch is in {path};" in str(fault.value)
    kept = torch.load(path, weights_only=True)
    assert (kept["step"], kept["epoch"]) == (3, 0)
    data = VIMHDataModule(saw, batch_size=16)
    loader = data.train_dataloader()
    third = data.on_after_batch_transfer(list(loader)[2], 0)
    if what in third:
        assert int((~kept[what].isfinite()).sum()) == 1
    for key in {"image", "target", "scale"} - {what}:
        assert torch.equal(kept[key], third[key])


def test_a_run_that_blows_up_ends_in_one_line_without_a_spoilt_checkpoint(data_root, saw, tmp_path, caplog):
    line = running.fault(caplog, "train", data_root, tmp_path, "model.optimizer.lr=1e30", "trainer.max_epochs=9")
    assert "the loss of every head is nan, so the network's output is not finite" in line
    assert len(list(tmp_path.glob("non_finite_*.pt"))) == 1
    for path in tmp_path.rglob("*.ckpt"):
        assert all(one.isfinite().all() for one in torch.load(path, weights_only=True)["state_dict"].values())


def test_a_validation_that_is_not_finite_ends_a_run_before_its_weights_are_kept(data_root, saw, tmp_path, caplog):
    one_step = ("data.batch_size=102", "model.optimizer.lr=1e30", "trainer.max_epochs=3")  # an epoch
    line = running.fault(caplog, "train", data_root, tmp_path, *one_step)
    assert "validation: the loss of note_velocity, log10_decay_time is not finite after step 1" in line
    assert not list(tmp_path.rglob("*.ckpt"))


def test_the_first_bad_batch_is_blamed_and_nothing_is_saved_after_it(saw, tmp_path):
    kept = ModelCheckpoint(tmp_path / "checkpoints", every_n_train_steps=1, save_top_k=-1, filename="{step}")
    with pytest.raises(UserError, match=r"the gradient of network\.stages\.2\.weight is not finite at step 3"):
        trained(saw, tmp_path, Poison("gradient"), kept)
    assert sorted(path.stem for path in (tmp_path / "checkpoints").iterdir()) == ["step=1", "step=2"]


def test_a_head_that_is_not_trained_may_be_nan(saw, tmp_path):
    trained(saw, tmp_path, Poison("note_velocity"), heads={"note_velocity": {"weight": 0.0}})
    assert not list(tmp_path.glob("non_finite_*"))


def test_overflowing_gradients_are_the_scalers_business_but_not_a_loss(saw, tmp_path):
    def scaled():
        return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**40))

    model = trained(saw, tmp_path, plugins=[scaled()])
    assert all(one.isfinite().all() for one in model.parameters())
    with pytest.raises(UserError, match="the loss of note_velocity is nan at step 3"):
        trained(saw, tmp_path, Poison("note_velocity"), plugins=[scaled()])


def test_gradients_that_accumulate_are_looked_at_where_they_step(saw, tmp_path):
    with pytest.raises(UserError, match=r"gradient of network\.stages\.2\.weight is not finite at step 2;"):
        trained(saw, tmp_path, Poison("gradient"), accumulate_grad_batches=2)


def test_it_changes_nothing_in_a_run_without_a_fault(saw, tmp_path, monkeypatch):
    guarded = trained(saw, tmp_path).state_dict()
    monkeypatch.setattr(sys.modules[__name__], "NonFiniteGuard", lambda output: Callback())
    bare = trained(saw, tmp_path).state_dict()
    assert all(torch.equal(value, bare[name]) for name, value in guarded.items() if ".calibration." not in name)


def test_a_batch_that_cannot_be_kept_is_said_and_the_run_ends_all_the_same(saw, tmp_path):
    (tmp_path / "taken").write_text("no directory")
    with pytest.raises(UserError, match="loss of note_velocity is nan at step 3; its batch could not be saved"):
        trained(saw, tmp_path / "taken", Poison("note_velocity"))


def on_two_processes(saw, output, what):
    script = output / "run.py"
    script.write_text(
        "import sys, torch\nfrom pathlib import Path\n"
        "from tests.callbacks.test_non_finite_guard import Poison, trained\n"
        f"trained(Path({str(saw)!r}), Path({str(output)!r}), Poison({what!r}, rank=1), devices=2, strategy='ddp')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(running.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    launch += [f"--log-dir={output / 'log'}", "--redirects=3", str(script)]
    done = subprocess.run(launch, env=environment, capture_output=True, text=True, timeout=120, cwd=output)
    return done.returncode, [path.read_text() for path in sorted((output / "log").rglob("stderr.log"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            "note_velocity",
            "the loss of note_velocity is nan at step 3; its batch is in {output}/non_finite_step_3_rank_1.pt",
        ),
        ("gradient", "the loss is finite, but the gradient of network.stages.2.weight is not finite"),
    ],
)
def test_two_processes_end_together_with_the_same_line(saw, tmp_path, what, words):
    status, errors = on_two_processes(saw, tmp_path, what)
    assert status != 0 and len(errors) == 2
    for text in errors:
        assert words.format(output=tmp_path) in text
    assert len(list(tmp_path.glob("non_finite_step_3_rank_?.pt"))) == 2
