"""Ctrl-C, a scheduler's signals and a full disk: one line that says how to go on, and a checkpoint to go on from."""

import csv
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from tests import running
from tests.end_to_end import sessions

CALLBACKS = "tests.end_to_end.callbacks"
EPOCHS = "trainer.max_epochs=4"
SIGNAL = (f"+callbacks.stop._target_={CALLBACKS}.Signal", "+callbacks.stop.epoch=2", "+callbacks.stop.batch=1")


def ended(caplog, data_root, output, *overrides):
    """Run to the exit that a signal causes; return its status and the one line that was said."""
    caplog.clear()
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as exited:
        running.run("train", data_root, output, EPOCHS, *overrides)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "\n" not in line and not (output / "test_results.json").exists()
    return exited.value.code, line


def epoch_of(path):
    return torch.load(path, weights_only=True)["epoch"]


def rows_of(run):
    with (run / "csv/metrics.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 128 + signal.SIGUSR1)])
def test_a_signal_ends_a_run_after_its_batch(data_root, saw, tmp_path, caplog, name, status):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    code, line = ended(caplog, data_root, tmp_path, *SIGNAL, f"+callbacks.stop.name={name}")
    last = tmp_path / "checkpoints/last.ckpt"
    assert code == status and torch.load(last, weights_only=True)["global_step"] == 2 * 3 + 2
    assert line == f"{name}: saved {last}; continue with: python src/train.py resume={tmp_path}"
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


def test_a_signal_that_comes_twice_ends_it_at_once(data_root, saw, tmp_path, caplog):
    twice = ("+callbacks.stop.name=SIGINT", "+callbacks.stop.twice=true")
    code, line = ended(caplog, data_root, tmp_path, *SIGNAL, *twice)
    assert code == 130 and line == f"interrupted; continue with: python src/train.py resume={tmp_path}"
    assert epoch_of(tmp_path / "checkpoints/last.ckpt") == 1


def test_where_no_checkpoints_are_kept_none_is_promised(data_root, saw, tmp_path, caplog):
    code, line = ended(caplog, data_root, tmp_path, "callbacks=none", *SIGNAL, "+callbacks.stop.name=SIGTERM")
    assert code == 143 and line.startswith("SIGTERM: there is no checkpoint; continue with: ")
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.long
def test_ctrl_c_in_testing_leaves_a_run_that_is_only_tested_when_resumed(data_root, saw, tmp_path, caplog):
    stop = (f"+callbacks.stop._target_={CALLBACKS}.InterruptTest",)
    code, line = ended(caplog, data_root, tmp_path, *stop)
    assert code == 130 and line.startswith("interrupted; continue with: ")
    before = (tmp_path / "checkpoints/last.ckpt").read_bytes()
    running.run("train", data_root, tmp_path, EPOCHS, "logger=none", f"resume={tmp_path}")
    assert (tmp_path / "test_results.json").is_file() and (tmp_path / "checkpoints/last.ckpt").read_bytes() == before


def test_slurm_is_asked_to_queue_the_job_again(data_root, saw, tmp_path, caplog, monkeypatch):
    (tmp_path / "bin").mkdir()
    scontrol = tmp_path / "bin/scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked; ls {tmp_path}/run/checkpoints >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    code, _ = ended(caplog, data_root, tmp_path / "run", *SIGNAL, "+callbacks.stop.name=SIGUSR1")
    assert code == 128 + signal.SIGUSR1
    assert (tmp_path / "asked").read_text().split() == ["requeue", "123", "best.ckpt", "last.ckpt"]


@contextmanager
def largest_file(size):
    """Let no file become larger than `size` bytes, as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.long
def test_a_full_disk_is_one_line_and_the_run_goes_on_from_the_checkpoint_before(
    data_root, saw, tmp_path, caplog, monkeypatch
):
    """The first session is stopped by a signal, the second by a disk that takes no more than 100 KB a file."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would leave compiled modules cut off
    run = tmp_path / "run"
    running.run("train", data_root, tmp_path / "straight", EPOCHS)
    code, _ = ended(caplog, data_root, run, *SIGNAL, "+callbacks.stop.name=SIGTERM")
    assert code == 143
    before = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    with largest_file(100_000):
        line = running.fault(caplog, "train", data_root, run, EPOCHS, f"resume={run}")
    assert "best.ckpt: File too large while saving" in line or "last.ckpt: File too large while saving" in line
    assert line.endswith(
        f"the previous checkpoint is kept; free some space, then continue with: python src/train.py resume={run}"
    )
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before
    running.run("train", data_root, run, EPOCHS, f"resume={run}")
    straight, resumed = (json.loads((one / "test_results.json").read_text()) for one in (tmp_path / "straight", run))
    assert resumed == straight
    outcomes = [one["outcome"][:6] for one in json.loads((run / "run.json").read_text())["sessions"]]
    assert outcomes == ["interr", "failed", "finish"]


@pytest.mark.slow
def test_both_processes_of_a_run_stop_and_go_on_as_if_they_had_not(tmp_path):
    """SIGTERM to the first alone, as a scheduler sends it; dropout is drawn in both."""
    words = ["trainer=ddp_sim", "dataset.size=1024", "data.batch_size=2", "model.network.dropout=0.1", EPOCHS]
    words += ["callbacks.rich_progress_bar=null", f"paths.data_dir={tmp_path / 'data'}", "extras.num_threads=1"]

    def start(name, *overrides):
        line = [sys.executable, str(running.ROOT / "src/train.py"), *overrides]
        with (tmp_path / f"{name}.log").open("a") as log:
            return subprocess.Popen(line, stdout=log, stderr=log)

    straight, stopped = (tmp_path / name for name in ("straight", "stopped"))
    assert start("straight", *words, f"hydra.run.dir={straight}").wait() == 0, (tmp_path / "straight.log").read_text()
    process = start("stopped", *words, f"hydra.run.dir={stopped}")
    text = (tmp_path / "stopped.log").read_text
    sessions.until((stopped / "checkpoints/last.ckpt").is_file, lambda: process.poll() is not None, text)
    process.terminate()
    assert process.wait(60) == 143, (tmp_path / "stopped.log").read_text()
    assert start("stopped", f"resume={stopped}").wait() == 0, (tmp_path / "stopped.log").read_text()
    one, other = (
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in (straight, stopped)
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert (straight / "test_results.json").read_bytes() == (stopped / "test_results.json").read_bytes()
    for one, other in zip(rows_of(straight), rows_of(stopped), strict=True):
        assert one == pytest.approx(other, rel=1e-6)  # the epoch's mean loss is summed in another order
