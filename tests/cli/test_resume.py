"""`resume=` on a command line: which words Hydra gets, and what cannot be resumed is one line."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src.cli.resume import (
    CONFIG,
    continue_logs,
    how_to_continue,
    last_unfinished,
    newest_checkpoint,
    resumed,
    save_config,
)
from src.cli.text_values import quote
from src.utils.errors import UserError
from tests import running


@pytest.fixture
def run_directory(tmp_path):
    """What Hydra leaves of a run, with quotes and commas in its name."""
    directory = tmp_path / "it's a, run"
    (directory / CONFIG).parent.mkdir(parents=True)
    config = running.composed("train", "paths.output_dir=.", "trainer.max_epochs=7")
    (directory / CONFIG).write_text(OmegaConf.to_yaml(config))
    return directory


def composed_by(words):
    """Return the config that Hydra makes of a command line's words."""
    flags = dict(zip(words[:4:2], words[1:4:2], strict=True))
    with initialize_config_dir(flags["--config-dir"], version_base="1.3"):
        return compose(flags["--config-name"], [word for word in words[4:] if not word.startswith("+hydra=")])


def test_a_process_that_another_one_starts_takes_the_words_as_they_are(run_directory):
    """Lightning starts the other processes of a run with the command line that the first one has prepared."""
    words = resumed([f"resume={run_directory}", "trainer.max_epochs=9"])
    assert resumed(words) == words


def test_the_saved_config_is_used_with_what_is_given_on_top(run_directory):
    words = resumed([f"resume={run_directory}", "trainer.max_epochs=9", "~callbacks.early_stopping", "+trainer.x=1"])
    config = composed_by(words)
    assert config.resume == str(run_directory) and config.trainer.max_epochs == 9 and config.trainer.x == 1
    assert "early_stopping" not in config.callbacks and config.monitor == "val/nmae"
    save_config(config, run_directory)
    again = composed_by(resumed([f"resume={run_directory}"]))
    assert again == config


def test_a_relative_directory_is_as_good(run_directory, monkeypatch):
    monkeypatch.chdir(run_directory.parent)
    assert resumed([f"resume={run_directory.name}"]) == resumed([f"resume={quote(str(run_directory))}"])


@pytest.mark.parametrize("words", [[], ["resume=null"], ["model=cnn_tiny", "-m"]])
def test_without_a_directory_words_stay_as_they_are(words):
    assert resumed(words) == words


def test_a_checkpoint_is_no_run_directory(run_directory):
    path = run_directory / "last.ckpt"
    path.touch()
    with pytest.raises(UserError, match=r"^resume: .*last.ckpt is a file; give the run's directory"):
        resumed([f"resume={path}"])


def test_no_run_is_written_over_another(run_directory, monkeypatch):
    words = [f"hydra.run.dir={run_directory}"]
    assert resumed(words) == words
    (run_directory / "run.json").touch()
    told = f"^hydra.run.dir: {run_directory} holds a run; give another directory, or continue that run: resume='.*'$"
    with pytest.raises(UserError, match=told):
        resumed(words)
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "1")  # another process of the run that is there
    assert resumed(words) == words


def test_the_last_one_is_not_the_mistake_of_a_moment_ago(tmp_path):
    for age, name in enumerate(("trained", "mistaken")):
        directory = tmp_path / "train/runs" / name
        directory.mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"sessions": [{"outcome": "interrupted"}]}))
        os.utime(directory / "run.json", (age, age))
    assert last_unfinished(tmp_path).name == "mistaken"
    (tmp_path / "train/runs/trained/checkpoints").mkdir()
    (tmp_path / "train/runs/trained/checkpoints/last.ckpt").touch()
    assert last_unfinished(tmp_path).name == "trained"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("gone", "does not exist; give a run directory"),
        ("other", "is not a training run: it has no .hydra/config.yaml"),
        ("", "config.yaml is damaged .*; repeat the command that started the run"),
        ("model: {", "config.yaml is damaged"),
        ("- a list", "config.yaml is damaged"),
        ("just text", "config.yaml is damaged"),
        ("ckpt_path: best\n", "config.yaml is damaged or not the config of a training run"),
    ],
)
def test_what_is_no_run_is_one_line(run_directory, damage, words):
    if damage == "gone":
        run_directory = run_directory / "none"
    elif damage == "other":
        (run_directory / CONFIG).unlink()
    else:
        (run_directory / CONFIG).write_text(damage)
    with pytest.raises(UserError, match=rf"^resume: .*{words}") as raised:
        resumed([f"resume={run_directory}"])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("model=cnn_tiny", "keeps its model; give single values, as in trainer.max_epochs=100, or start a new run$"),
        ("+callbacks=ema", "keeps its callbacks"),
        ("-m", "a run cannot be resumed in a sweep"),
    ],
)
def test_what_a_resumed_run_cannot_change_is_one_line(run_directory, word, answer):
    with pytest.raises(UserError, match=answer):
        resumed([f"resume={run_directory}", word])


def test_last_is_the_newest_run_that_is_not_finished(run_directory, tmp_path):
    with pytest.raises(UserError, match=r"^resume: no unfinished run in"):
        resumed(["resume=last", f"paths.log_dir={tmp_path}"])
    for age, (name, outcome) in enumerate([("c", "finished"), ("a", "killed"), ("b", "interrupted")]):
        run = tmp_path / "train/runs" / name
        (run / CONFIG).parent.mkdir(parents=True)
        (run / CONFIG).write_bytes((run_directory / CONFIG).read_bytes())
        (run / "run.json").write_text(json.dumps({"sessions": [{"outcome": outcome}]}))
        os.utime(run / "run.json", (1000 - age, 1000 - age))
    assert f"++resume='{tmp_path}/train/runs/a'" in resumed(["resume=last", f"paths.log_dir={tmp_path}"])
    with in_use(tmp_path / "train/runs/a"):
        assert f"++resume='{tmp_path}/train/runs/b'" in resumed(["resume=last", f"paths.log_dir={tmp_path}"])


@contextmanager
def in_use(directory):
    """Another process trains there: a lock is one of processes."""
    holds = "import sys; from pathlib import Path; from src.run.lock import exclusive_run\n"
    holds += "with exclusive_run(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    line = [sys.executable, "-c", holds, directory]
    with subprocess.Popen(line, cwd=running.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield
        process.stdin.close()


@pytest.mark.parametrize(
    "environment",
    [
        {"TORCHELASTIC_RUN_ID": "mine", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"},
        {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_NNODES": "1", "SLURM_JOB_NAME": "train"},
    ],
    ids=["torchrun", "srun"],
)
def test_several_processes_do_not_each_look_for_the_last(run_directory, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"^resume: last given, but several processes .*; give the run's directory$"):
        resumed(["resume=last"])
    assert resumed([f"resume={run_directory}"])


def test_the_newest_checkpoint_is_the_one_written_last_but_for_the_best(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()

    def written(name, at):
        (checkpoints / name).touch()
        os.utime(checkpoints / name, (at, at))
        return newest_checkpoint(tmp_path)

    assert written(".last.ckpt.partial", 9) is None
    assert written("best.ckpt", 1) == checkpoints / "best.ckpt"
    assert written("epoch_0003.ckpt", 2) == checkpoints / "epoch_0003.ckpt"
    assert written("last.ckpt", 1) == checkpoints / "epoch_0003.ckpt"
    assert written("within_epoch.ckpt", 3) == checkpoints / "within_epoch.ckpt"
    assert written("last.ckpt", 4) == checkpoints / "last.ckpt"
    assert written("best.ckpt", 5) == checkpoints / "last.ckpt"


def test_how_to_go_on_is_a_command_that_a_shell_takes(run_directory, monkeypatch):
    monkeypatch.chdir(run_directory.parent)
    assert how_to_continue(run_directory) == "continue with: python src/train.py resume='it'\"'\"'s a, run'"
    assert how_to_continue(running.ROOT) == f"continue with: python src/train.py resume={running.ROOT}"


def test_loggers_that_would_begin_anew_are_told_where_to_go_on(tmp_path):
    config = running.composed("train", "logger=[tensorboard,wandb]", f"paths.output_dir={tmp_path}").logger
    continue_logs(config, 12)
    assert config.csv.purge_step == config.tensorboard.purge_step == 12
    assert "purge_step" not in config.wandb
    continue_logs(None, 12)
