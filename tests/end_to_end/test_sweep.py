"""Searches as the command line runs them."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf
from optuna.trial import TrialState

from src.cli.entry import expand
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.build import build_model
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.search.study import load_study
from src.search.sweeper import split
from tests import running

SEARCHES = sorted(path.stem for path in (running.CONFIGS / "hparams_search").glob("*_optuna.yaml"))
SPEC = DatasetSpec(
    "t",
    Inputs((1, 32, 32)),
    ParameterSpace(
        [ParameterSpec(name=name, min=0, max=1, step=0.1) for name in ("note_velocity", "log10_decay_time")]
    ),
)
TINY = ("trainer=cpu", "dataset.size=128", "trainer.max_epochs=2", "logger=csv", "~callbacks.rich_progress_bar")


def words_of(data_root, tmp_path, *more):
    paths = (f"paths.data_dir={data_root}", f"paths.log_dir={tmp_path}")
    return ("-m", "hparams_search=vimh_optuna", *paths, *TINY, *more)


def swept(data_root, tmp_path, *more):
    return running.command("src/train.py", *words_of(data_root, tmp_path, *more))


def study_of(tmp_path, name="vimh_optuna"):
    return load_study(name, f"sqlite:///{tmp_path}/train/sweeps/{name}/study.db")


@pytest.mark.parametrize("choice", ["sampler=random", "sampler=tpe", "pruner=hyperband", "pruner=none"])
def test_samplers_and_pruners_are_chosen_by_name(choice):
    with initialize_config_dir(str(running.CONFIGS), version_base="1.3"):
        words = ["hparams_search=vimh_optuna", f"hydra/sweeper/{choice}"]
        sweeper = compose("train", words, return_hydra_config=True).hydra.sweeper
    assert instantiate(sweeper[choice.split("=")[0]]) is not None


@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_opens_with_what_it_is_and_its_values_build_models(search):
    text = (running.CONFIGS / f"hparams_search/{search}.yaml").read_text()
    assert text.startswith("# @package _global_\n# ") and f"hparams_search={search}" in text
    fixed, space = split(yaml.safe_load(text)["hydra"]["sweeper"]["params"], [])
    rng = random.Random(0)
    draws = [lambda choices: choices[0], lambda choices: choices[-1], rng.choice, rng.choice]
    for draw in draws:
        chosen = {key: draw(getattr(one, "choices", None) or (one.low, one.high)) for key, one in space.items()}
        words = [*fixed.values(), *(f"{key}={value}" for key, value in chosen.items())]
        config = running.composed("train", "paths.output_dir=.", f"hparams_search={search}", *words)
        assert config.test is False and config.callbacks.pruning.monitor == "val/nmae"
        build_model(OmegaConf.to_container(config.model, resolve=True), SPEC)
        assert all(OverridesParser.create().parse_override(word) for word in words)


@pytest.mark.slow
def test_a_search_leaves_a_study_a_report_and_an_experiment_that_repeats_its_best_trial(data_root, saw, tmp_path):
    prune = ("hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=0")
    ran = swept(data_root, tmp_path, "hydra.sweeper.n_trials=3", *prune)
    assert ran.returncode == 0, ran.stderr
    directory, study = tmp_path / "train/sweeps/vimh_optuna", study_of(tmp_path)
    files = {"best.yaml", "report.html", "runs.csv", "runs.md", "study.db"}
    assert {"0", "1", "2"} | files == {path.name for path in directory.iterdir()}
    assert not list(directory.rglob("test_results.json")), "a search never looks at the test split"
    ended = {TrialState.COMPLETE, TrialState.PRUNED}
    assert len(study.trials) == 3 and {trial.state for trial in study.trials} <= ended
    assert all(trial.intermediate_values for trial in study.trials)
    assert study.best_value == min(study.best_trial.intermediate_values.values())
    (word,) = expand(f"experiment={directory / 'best.yaml'}")
    assert running.run("train", data_root, tmp_path / "again", word, "trainer=cpu", whole=True) == pytest.approx(
        study.best_value, rel=1e-4
    )
    assert json.loads((tmp_path / "again/test_results.json").read_text())["num_samples"] == 13


@pytest.mark.long
def test_a_multirun_ends_with_one_table_also_where_a_run_has_failed(data_root, saw, tmp_path):
    paths = (f"paths.data_dir={data_root}", f"paths.log_dir={tmp_path}")
    quick = ("trainer=cpu", "dataset.size=128", "trainer.max_epochs=1", "logger=none", "name=three")
    ran = running.command("src/train.py", "-m", "data.batch_size=0,32", *paths, *quick)
    assert ran.returncode == 1 and ran.stderr.strip().endswith("data.batch_size: 0 given; give at least 1")
    (directory,) = (tmp_path / "train/multiruns").iterdir()
    assert directory.name.endswith("_three")
    with (directory / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    given = [(row["data.batch_size"], row["state"]) for row in rows]
    assert given == [("0", "failed"), ("32", "finished")]
    assert "dataset.size" not in rows[0], "the runs do not differ in it"
    results = json.loads((directory / "1/test_results.json").read_text())
    assert float(rows[1]["test"]) == results["metrics"]["test/nmae"]
    table = ran.stdout[ran.stdout.index("directory") :].splitlines()
    assert max(map(len, table[:-2])) <= 80 and "runs.csv and runs.md" in table[-1]
    assert sum("batch_size=32" in line and f"{float(rows[1]['best']):.4g}" in line for line in table) == 1
    assert "run 1: trained 1 epoch in " in ran.stdout


@pytest.mark.slow
def test_a_fault_in_every_trial_is_one_line_and_no_traceback(data_root, saw, tmp_path):
    ran = swept(data_root, tmp_path, "data.batch_size=0")
    assert ran.returncode == 1 and "Traceback" not in ran.stdout + ran.stderr
    (line,) = ran.stderr.strip().splitlines()
    assert line.startswith("3 of 3 trials failed") and line.endswith("data.batch_size: 0 given; give at least 1")


def test_an_experiment_file_that_is_not_there_is_one_line(tmp_path):
    ran = running.command("src/train.py", f"experiment={tmp_path}/best.yaml")
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1 and "best.yaml: no such file" in ran.stderr


def started(data_root, tmp_path, *more):
    line = [sys.executable, str(running.ROOT / "src/train.py"), *words_of(data_root, tmp_path, *more)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_search_killed_again_and_again_ends_with_as_many_trials_as_were_asked_for(data_root, saw, tmp_path):
    rng = random.Random(0)
    for _ in range(5):
        process = started(data_root, tmp_path, "hydra.sweeper.n_trials=30")
        time.sleep(rng.uniform(4, 20))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ran = swept(data_root, tmp_path, "hydra.sweeper.n_trials=30")
    assert ran.returncode == 0, ran.stderr
    trials = study_of(tmp_path).trials
    assert sum(trial.user_attrs.get("cause") != "killed" for trial in trials) == 30
    assert not any(trial.state == TrialState.RUNNING for trial in trials)
    assert not list((tmp_path / "train/sweeps/vimh_optuna").glob("*.lock"))


@pytest.mark.slow
def test_two_searches_at_once_share_a_study(data_root, saw, tmp_path):
    both = [started(data_root, tmp_path, "hydra.sweeper.n_trials=8") for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    trials = study_of(tmp_path).trials
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    assert len(trials) == 8
    assert len({trial.user_attrs["owner"] for trial in trials}) == 2


@pytest.mark.slow
def test_ctrl_c_ends_a_search_with_how_to_go_on(data_root, saw, tmp_path):
    process = started(data_root, tmp_path, "trainer.max_epochs=100000", "~callbacks.early_stopping")
    until = time.monotonic() + 120
    while not list(tmp_path.rglob("last.ckpt")) and time.monotonic() < until:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert output.count("interrupted") == 1, "a trial of a study is not gone on with by itself"
    assert output.strip().splitlines()[-1].startswith("interrupted; study vimh_optuna has 0 of 20 trials")
    assert "Traceback" not in output
