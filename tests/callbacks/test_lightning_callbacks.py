"""Lightning's own callbacks as our configs set them, in short runs."""

import sys

import pytest
import torch

from tests import running


def checkpoint_of(output, name):
    return torch.load(output / f"checkpoints/{name}.ckpt", weights_only=True)


def test_a_schedule_ends_with_the_last_step_though_batches_grow(data_root, saw, tmp_path):
    """Three batches an epoch: 3 + 3 + 1 + 1 steps, after which a cosine to 0 has arrived there."""
    grows = ("callbacks=[default,gradient_accumulation]", "++callbacks.gradient_accumulation.scheduling={2: 3}")
    running.run("train", data_root, tmp_path, *grows, "logger=none", "trainer.max_epochs=4")
    last = checkpoint_of(tmp_path, "last")
    assert last["global_step"] == last["lr_schedulers"][0]["last_epoch"] == 8
    assert [group["lr"] for group in last["optimizer_states"][0]["param_groups"]] == pytest.approx([0, 0], abs=1e-9)


def test_by_epoch_a_rate_is_held_also_where_steps_end_the_run(data_root, saw, tmp_path):
    """Three batches an epoch, four steps: the second epoch begins at 3/4 of them."""
    by_epoch = ("scheduler=exponential", "model.scheduler.interval=epoch", "model.scheduler.warmup_fraction=0")
    running.run(
        "train", data_root, tmp_path, *by_epoch, "+trainer.max_steps=4", "logger=none", "model.optimizer.lr=1e-3"
    )
    last = checkpoint_of(tmp_path, "last")
    assert last["global_step"] == 4
    assert last["lr_schedulers"][0]["_last_lr"] == pytest.approx([1e-3 * 0.01 ** (3 / 4)] * 2)


def test_two_ways_to_accumulate_are_one_too_many(data_root, saw, tmp_path, caplog):
    both = ("callbacks=[default,gradient_accumulation]", "+trainer.accumulate_grad_batches=2")
    message = running.fault(caplog, "train", data_root, tmp_path, *both)
    assert message.startswith("trainer.accumulate_grad_batches: 2 given together with callbacks.gradient_accumulation")


def test_a_rate_cannot_be_held_for_epochs_that_differ(data_root, saw, tmp_path, caplog):
    both = ("callbacks=[default,gradient_accumulation]", "model.scheduler.interval=epoch")
    message = running.fault(caplog, "train", data_root, tmp_path, *both)
    assert message.startswith("model.scheduler.interval: epoch given together with callbacks.gradient_accumulation")


def test_a_run_without_an_end_has_no_schedule(data_root, saw, tmp_path, caplog):
    message = running.fault(caplog, "train", data_root, tmp_path, "trainer.max_epochs=-1", "callbacks=none")
    assert message.startswith("trainer.max_epochs: -1 given")


@pytest.mark.parametrize("every", [1, 2])
def test_periodic_checkpoints_stay_and_long_epochs_have_one_within(data_root, saw, tmp_path, every):
    given = ("callbacks=[default,periodic_checkpoint]", "logger=none", "trainer.max_epochs=4")
    within = [
        f"callbacks.within_epoch_checkpoint.{one}" for one in ("train_time_interval=null", "every_n_train_steps=5")
    ]
    running.run("train", data_root, tmp_path, *given, *within, f"callbacks.periodic_checkpoint.every_n_epochs={every}")
    found = {path.stem: checkpoint_of(tmp_path, path.stem) for path in (tmp_path / "checkpoints").iterdir()}
    steps = {name: one["global_step"] for name, one in found.items() if name != "best"}
    kept = {f"epoch_{epoch - 1:04d}": 3 * epoch for epoch in range(every, 5, every)}
    assert "best" in found and steps == kept | {"within_epoch": 10, "last": 12}


@pytest.mark.long
def test_a_run_resumed_within_an_epoch_ends_where_it_would_have(data_root, saw, tmp_path):
    """Six batches an epoch: 6 steps, then 3; the checkpoint is of the first of these, which took two batches."""
    choices = "callbacks=[default,periodic_checkpoint,gradient_accumulation,ema,throughput]"
    within = [
        f"callbacks.within_epoch_checkpoint.{one}" for one in ("train_time_interval=null", "every_n_train_steps=7")
    ]
    given = (choices, *within, "++callbacks.gradient_accumulation.scheduling={1: 2}", "data.batch_size=16")
    running.run("train", data_root, tmp_path / "straight", *given, "logger=none")
    middle = tmp_path / "straight/checkpoints/within_epoch.ckpt"
    assert torch.load(middle, weights_only=True)["global_step"] == 7
    running.run("train", data_root, tmp_path / "resumed", *given, "logger=none", f"ckpt_path={middle}")
    one, other = (checkpoint_of(tmp_path / run, "last") for run in ("straight", "resumed"))
    assert one["global_step"] == other["global_step"] == 9
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(value, other[key][name]) for name, value in one[key].items())


def test_load_of_a_cpu_needs_psutil(data_root, saw, tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    message = running.fault(caplog, "train", data_root, tmp_path, "callbacks=[default,device_stats]")
    assert message == "callbacks.device_stats: psutil is not installed; install it with: uv pip install psutil"


def test_load_of_the_cpu_is_logged(data_root, saw, tmp_path):
    pytest.importorskip("psutil")
    given = ("callbacks=[default,device_stats]", "logger=csv", "trainer.log_every_n_steps=1")
    running.run("train", data_root, tmp_path, *given)
    assert "cpu_vm_percent" in (tmp_path / "csv/metrics.csv").read_text().split("\n")[0]
