"""Two processes on the CPU do what one does, leave one directory, and go on where they stopped."""

import csv
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests import running
from tests.end_to_end import sessions

TRAINED = ("trainer.max_epochs=2", "dataset.size=128", "extras.num_threads=1", "logger=csv")
PLAIN = ("model=mlp_68k", "optimizer=sgd")  # AdamW turns the last bits of a tiny gradient into a whole step


def paths(data_root, output):
    return (f"paths.data_dir={data_root}", f"paths.log_dir={output.parent}/logs", f"hydra.run.dir={output}")


def alone(data_root, output, *overrides):
    """Train in this process, with batches of 32."""
    running.run("train", data_root, output, "trainer=cpu", *TRAINED, *overrides)


def together(data_root, output, *overrides):
    """Train in two processes, with batches of 16 each."""
    given = ("trainer=ddp_sim", "data.batch_size=16", *TRAINED, *paths(data_root, output), *overrides)
    done = running.command("src/train.py", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def start(environment, *line):
    return subprocess.Popen(
        [sys.executable, *line], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def weights_of(output):
    return torch.load(output / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def results_of(output):
    return json.loads((output / "test_results.json").read_text())["metrics"]


def rows_of(output):
    with (output / "csv/metrics.csv").open() as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def require_the_same_run(one, two):
    """Weights to float32 rounding, every figure to what that makes of it."""
    first, second = weights_of(one), weights_of(two)
    assert list(first) == list(second)
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    assert results_of(two) == pytest.approx(results_of(one), rel=1e-5, abs=1e-5)
    rows = zip(rows_of(one), rows_of(two), strict=True)
    assert all(theirs == pytest.approx(ours, rel=1e-5, abs=1e-5) for ours, theirs in rows)


def require_one_output(output, told):
    assert told.count("test split, 13 sounds") == 1
    assert told.count("results, log and checkpoints") == 1
    assert (output / "train.log").read_text().count("model of") == 1
    assert not (output.parent / "logs").exists()  # the second process made no directory of its own


def test_two_processes_train_and_test_as_one_with_the_batches_of_both(data_root, saw, tmp_path):
    """102 clips are three batches and six clips, 13 are an odd number to validate and test on.

    The processes are forked with the variables of torchrun, since two that Lightning starts import everything again.
    """
    alone(data_root, tmp_path / "one", *PLAIN)
    words = ("trainer=ddp_sim", "data.batch_size=16", *TRAINED, *paths(data_root, tmp_path / "two"), *PLAIN)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "TORCHELASTIC_RUN_ID": "mine"}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
    logs = [tmp_path / f"rank_{rank}" for rank in ("0", "1")]
    both = [sessions.start(log, *words, RANK=log.name[-1], LOCAL_RANK=log.name[-1], **shared) for log in logs]
    for process in both:
        process.join(300)
    told = "".join(log.read_text() for log in logs)
    assert [process.exitcode for process in both] == [0, 0], told
    require_the_same_run(tmp_path / "one", tmp_path / "two")
    require_one_output(tmp_path / "two", told)


@pytest.mark.slow
def test_so_do_two_that_lightning_starts(data_root, saw, tmp_path):
    alone(data_root, tmp_path / "one", *PLAIN)
    done = together(data_root, tmp_path / "two", *PLAIN)
    require_the_same_run(tmp_path / "one", tmp_path / "two")
    require_one_output(tmp_path / "two", done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("model.balance=gradient",),
        ("model.balance=uncertainty", "heads=classification"),
        ("wrapper=[sam]",),
        ("data.device_cache=true", "trainer.gradient_clip_val=0.1"),
        ("data=vimh_online", "data.epoch_size=128", "data.workers=1"),
        ("augment=sound", "+data.augment.token_mix={}", "heads=classification"),
        ("data=vimh_online", "data.epoch_size=128", "data.workers=1", "augment=sound", "+data.augment.gain={}"),
        ("dataset.size=8",),  # one clip to validate on, which leaves a process without any
    ],
    ids=lambda given: given[0],
)
def test_so_they_do_with(data_root, saw, tmp_path, overrides):
    alone(data_root, tmp_path / "one", *PLAIN, *overrides)
    together(data_root, tmp_path / "two", *PLAIN, *overrides)
    require_the_same_run(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_processes_draw_apart_agree_on_all_they_hold_and_go_on_as_they_would_have(data_root, saw, tmp_path):
    """With dropout and batch norm, stopped after two of four epochs."""

    def train(name, *overrides):
        watched = tmp_path / f"watched_{name}"
        watched.mkdir()
        network = "{_target_: tests.end_to_end.processes.NormedNetwork, _partial_: true}"
        watch = f"+callbacks.watch={{_target_: tests.end_to_end.processes.Watch, directory: {watched}}}"
        given = ("trainer=ddp_sim", *TRAINED, "trainer.max_epochs=4", "~model.network", f"+model.network={network}")
        line = (*given, watch, *paths(data_root, tmp_path / name), *overrides)
        return running.command("src/train.py", *line), watched

    done, watched = train("straight")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (json.loads((watched / f"rank_{rank}.json").read_text()) for rank in (0, 1))
    assert first["states"] == second["states"] and len(first["states"]) == 4
    assert len({*first["draws"], *second["draws"]}) == 2 * len(first["draws"])

    stop = "{_target_: tests.end_to_end.callbacks.Interrupt, epoch: 2}"
    train("stopped", f"+callbacks.stop={stop}")
    assert torch.load(tmp_path / "stopped/checkpoints/last.ckpt", weights_only=True)["epoch"] == 1
    done = running.command("src/train.py", f"resume={tmp_path / 'stopped'}", "~callbacks.stop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(
        torch.equal(one, weights_of(tmp_path / "stopped")[name])
        for name, one in weights_of(tmp_path / "straight").items()
    )
    (resumed,) = [json.loads(path.read_text()) for path in (tmp_path / "watched_stopped").glob("rank_1.json")]
    assert resumed["draws"] == second["draws"][-len(resumed["draws"]) :]


@pytest.mark.slow
def test_bfloat16_in_two_processes(data_root, saw, tmp_path):
    together(data_root, tmp_path / "two", "trainer.precision=bf16-mixed")
    assert results_of(tmp_path / "two")["test/nmae"] < 0.6


def command_line(data_root, logs):
    common = (*TRAINED, *PLAIN, "data.batch_size=16", f"paths.data_dir={data_root}", f"paths.log_dir={logs}")
    return (str(running.ROOT / "src/train.py"), "trainer=ddp_sim", *common)


def require_one_run(processes, data_root, logs, name):
    outputs = [one.communicate(timeout=300)[0] for one in processes]
    assert not any(one.returncode for one in processes), "\n".join(outputs)
    (run,) = (logs / "train/runs").iterdir()
    assert run.name.startswith(name)
    assert (run / ".hydra/config.yaml").is_file() and (run / "test_results.json").is_file()
    assert "\n".join(outputs).count("results, log and checkpoints") == 1
    assert len(list(data_root.iterdir())) == 1  # and neither a lock nor a half-written one
    return run


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_torchrun_starts_one_run_on_one_node_and_on_two(data_root, saw, tmp_path, nodes):
    """Two nodes are two agents on this machine, one process each."""
    alone(data_root, tmp_path / "one", *PLAIN)
    where = ("--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--rdzv-id=mine")
    agent = ("-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={2 // nodes}", *where)
    line = command_line(tmp_path / "data", tmp_path / "logs")
    agents = [start(os.environ | {"OMP_NUM_THREADS": "1"}, *agent, *line) for _ in range(nodes)]
    run = require_one_run(agents, tmp_path / "data", tmp_path / "logs", "torchrun_mine")
    require_the_same_run(tmp_path / "one", run)


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_srun_starts_one_run_on_one_node_and_on_two(data_root, saw, tmp_path, nodes):
    """Two processes with the variables that SLURM gives to each task."""
    alone(data_root, tmp_path / "one", *PLAIN)
    job = {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2"}
    job |= {"SLURM_NNODES": str(nodes), "SLURM_NTASKS_PER_NODE": str(2 // nodes), "SLURM_NODELIST": "127.0.0.1"}
    job |= {"MASTER_PORT": str(free_port())}
    tasks = [
        start(
            os.environ | job | {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task // nodes), "SLURM_NODEID": "0"},
            *command_line(tmp_path / "data", tmp_path / "logs"),
        )
        for task in range(2)
    ]
    run = require_one_run(tasks, tmp_path / "data", tmp_path / "logs", "slurm_4711_0")
    require_the_same_run(tmp_path / "one", run)


@pytest.mark.slow
@pytest.mark.parametrize("size", [128, 8])
def test_a_checkpoint_is_tested_by_two_processes_as_by_one(data_root, saw, tmp_path, size):
    """On 13 clips, and on one, which leaves a process without any."""
    alone(data_root, tmp_path / "run", f"dataset.size={size}", "trainer.max_epochs=1")
    checkpoint = f"ckpt_path={tmp_path / 'run/checkpoints/best.ckpt'}"
    running.run("eval", data_root, tmp_path / "one", checkpoint, "trainer=cpu")
    done = running.command("src/eval.py", checkpoint, "trainer=ddp_sim", *paths(data_root, tmp_path / "two"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert results_of(tmp_path / "two") == pytest.approx(results_of(tmp_path / "one"), rel=1e-6)


@pytest.mark.slow
def test_a_sweep_does_not_start_processes(data_root, saw, tmp_path):
    done = running.command(
        "src/train.py", "-m", "seed=1,2", "trainer=ddp_sim", *TRAINED, f"paths.data_dir={data_root}",
        f"hydra.sweep.dir={tmp_path}/sweep",
    )  # fmt: skip
    assert done.returncode != 0
    assert "trainer: 2 processes needed, but the runs of a sweep share one process" in done.stdout + done.stderr
