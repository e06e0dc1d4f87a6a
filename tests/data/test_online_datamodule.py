"""Endless data in Lightning: files validate and test, a stopped run goes on exactly, and no worker outlives its run."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from src.data.vimh_online_datamodule import VIMHOnlineDataModule
from src.utils.errors import UserError
from tests import running
from tests.data.conftest import tiny_config
from tests.data.references import edit_info, snapshot


def online(directory, **settings):
    return VIMHOnlineDataModule(data_dir=directory, **{"epoch_size": 256, "batch_size": 32, "workers": 1, **settings})


class Recorder(LightningModule):
    """Keeps what it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch_idx, batch["image"].clone(), batch["target"].clone()))
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(directory, folder, ckpt_path=None, settings=None, **options):
    model = Recorder()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    each = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=3, auto_insert_metric_name=False)
    ends = ModelCheckpoint(folder, "end-{epoch}", save_top_k=-1, auto_insert_metric_name=False)
    trainer = Trainer(
        max_epochs=3, callbacks=[each, ends], default_root_dir=folder, num_sanity_val_steps=0, **quiet, **options
    )
    trainer.fit(model, datamodule=online(directory, **(settings or {})), ckpt_path=ckpt_path, weights_only=True)
    return model.seen


def assert_same(ours, theirs):
    assert [one[:2] for one in ours] == [other[:2] for other in theirs]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one[2:], other[2:], rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("options", [{}, {"limit_train_batches": 5}, {"val_check_interval": 0.5}])
def test_a_run_that_goes_on_from_any_checkpoint_sees_what_an_uninterrupted_one_would(tiny, tmp_path, options):
    whole = trained(tiny, tmp_path, **options)
    per_epoch = options.get("limit_train_batches", 8)
    assert [one[:2] for one in whole] == [(epoch, batch) for epoch in range(3) for batch in range(per_epoch)]
    assert len({one[2].numpy().tobytes() for one in whole}) == 3 * per_epoch
    for name, steps in [("3", 3), ("12", 12), ("end-0", per_epoch), ("end-1", 2 * per_epoch)]:
        resumed = trained(tiny, tmp_path / name, tmp_path / f"{name}.ckpt", **options)
        assert_same(resumed, whole[steps:])
    assert not multiprocessing.active_children()


def test_a_run_that_fails_ends_its_workers(tiny, tmp_path, monkeypatch):
    def fail(*_):
        assert multiprocessing.active_children()
        raise RuntimeError("bug")

    monkeypatch.setattr(Recorder, "training_step", fail)
    with pytest.raises(RuntimeError, match="bug"):
        trained(tiny, tmp_path)
    assert not multiprocessing.active_children()


def test_files_validate_and_test_and_the_directory_is_not_touched(tiny, copy_of):
    directory = copy_of(tiny)
    before = snapshot(directory)
    module = online(directory)
    module.setup()
    for split, loader in (("val", module.val_dataloader()), ("test", module.test_dataloader())):
        found = np.concatenate([batch["target"].numpy() for batch in loader])
        np.testing.assert_array_equal(found, module.dataset(split).targets())
    assert len(module.dataset("train")) == 120 and len(module.train_dataloader()) == 8
    assert snapshot(directory) == before


def test_the_dataset_is_made_where_it_is_absent_and_its_checksums_are_verified(tmp_path, tiny):
    module = VIMHOnlineDataModule(recipe=tiny_config(), root=tmp_path, verify=True)
    assert len(module.train_dataloader()) == 128  # batches of 128
    for name in ("val", "test", "test_params.npy"):
        assert (module.data_dir / name).read_bytes() == (tiny / name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epoch_size": 31}, "data.epoch_size: 31 given, less than one batch of 32"),
        ({"workers": -1}, "data.workers: -1 given"),
        ({"workers": 10**6}, "data.workers: 1000000 given; give 0 to"),
        ({"prefetch_factor": 10**6}, "data.prefetch_factor: 1000000 given; give 1 to 100"),
        ({"prefetch_factor": 0}, "data.prefetch_factor: 0 given"),
        ({"labels": "all"}, "data.labels: 'all' given"),
    ],
)
def test_settings_are_refused_in_one_line(tiny, settings, words):
    with pytest.raises(UserError, match=words):
        online(tiny, **settings).train_dataloader()


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (None, "its description has no recipe, so no clips"),
        ({"config": tiny_config(**{"spectral.pre_emphasis": 0.9})}, r"rendered again, differ by .* of 255 levels"),
    ],
)
def test_a_directory_whose_clips_cannot_be_made_again_is_refused(tiny, copy_of, generator, words):
    directory = copy_of(tiny)
    edit_info(directory, generator=generator)
    with pytest.raises(UserError, match=words) as error:
        online(directory).train_dataloader()
    assert "\n" not in str(error.value)


def test_other_samplings_are_refused(tmp_path):
    module = VIMHOnlineDataModule(recipe=tiny_config(**{"dataset.sampling": "sobol"}), root=tmp_path)
    with pytest.raises(UserError, match=r"dataset.sampling: sobol given"):
        module.train_dataloader()


def test_the_command_line_trains_on_it_and_tests_on_files(data_root, saw, tmp_path):
    given = ("data=vimh_online", "data.epoch_size=512")
    score = running.run("train", data_root, tmp_path / "train", *given)
    assert 0 < score < 1
    results = json.loads((tmp_path / "train/test_results.json").read_text())
    assert results["num_samples"] == 13 and results["dataset"] == saw.name
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={tmp_path / 'train/checkpoints/best.ckpt'}")
    assert json.loads((tmp_path / "eval/test_results.json").read_text())["rows"] == results["rows"]


def test_it_is_the_dataset_of_vimh_16kdss():
    ours, theirs = (running.plain("train", "data", f"data={name}") for name in ("vimh_online", "vimh_16kdss"))
    assert ours["recipe"] == theirs["recipe"] and ours["recipe"]["dataset"]["size"] == 16384


def children_of(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(one) for one in found.stdout.split()]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_a_run_that_is_stopped(data_root, saw, tmp_path, number):
    more = ["trainer.max_epochs=10000", "data.workers=2", "callbacks=none", "logger=none", f"hydra.run.dir={tmp_path}"]
    line = [sys.executable, "src/train.py", "data=vimh_online", "dataset.size=128", "trainer=cpu", *more]
    line += [f"paths.data_dir={data_root}", f"paths.log_dir={tmp_path}"]
    with (tmp_path / "out").open("w") as out:
        run = subprocess.Popen(line, cwd=running.ROOT, stdout=out, stderr=out, start_new_session=True)
    end = time.monotonic() + 120
    while len(workers := children_of(run.pid)) < 2 and time.monotonic() < end and run.poll() is None:
        time.sleep(0.2)
    assert len(workers) == 2, (tmp_path / "out").read_text()
    time.sleep(2)
    (os.kill if number == signal.SIGKILL else os.killpg)(run.pid, number)  # the others reach the workers too
    assert run.wait(60) != 0
    while any(map(is_alive, workers)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not any(map(is_alive, workers))
    assert "Traceback" not in (tmp_path / "out").read_text()
