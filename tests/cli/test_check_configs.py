"""The check of all configs: what is right passes, and each kind of fault is a line with its file and key."""

import re
import shutil
from itertools import product

import pytest

from src.cli.check_configs import check, covering_pairs
from tests import running

BASIC, OTHER, CPU, CSV = "experiment/moog_basic.yaml", "experiment/example.yaml", "trainer/cpu.yaml", "logger/csv.yaml"
STOPPING, MICRO, ADAMW = "callbacks/early_stopping.yaml", "model/cnn_micro.yaml", "optimizer/adamw.yaml"


@pytest.fixture
def configs(tmp_path):
    """A copy of all configs with two experiments, two trainers and one logger."""
    copy = shutil.copytree(running.CONFIGS, tmp_path / "configs")
    kept = {"experiment": {"moog_basic", "example"}, "trainer": {"auto", "cpu"}, "logger": {"csv"}}
    for group, names in kept.items():
        for path in (copy / group).glob("*.yaml"):
            if path.stem not in names:
                path.unlink()
    train = (copy / "train.yaml").read_text()
    (copy / "train.yaml").write_text(train.replace("logger: tensorboard", "logger: csv"))
    return copy


def plant(path, line):
    """Put a line in the place of that with its key, of the first default like it, or at the end."""
    lines = path.read_text().splitlines()
    key = line[:8] if line.startswith("  - ") else f"{line.partition(':')[0]}:"
    at = [number for number, one in enumerate(lines) if one.startswith(key)]
    lines[at[0] if at else len(lines) : at[0] + 1 if at else None] = [line]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.long
def test_what_is_right_has_no_fault_and_leaves_nothing(configs, tmp_path):
    report = check(configs)
    assert (report.num_checked, report.faults, report.absent) == (4, [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["configs"]


PLANTED = {
    "files": [
        (BASIC, "  - override /model: cnn_mirco", f"{BASIC}: model/cnn_mirco not found. .*'cnn_micro'"),
        (OTHER, "  - override /modle: cnn_micro", f"{OTHER}: .*'modle'"),
        (CPU, "  - autos", "trainer/cpu: trainer/autos not found. Did you mean 'auto'"),
    ],
    "yaml": [(BASIC, "a: [", f"{BASIC}: .*line "), (OTHER, "seed: ]", f"{OTHER}: .*line ")],
    "yaml of the entry": [("train.yaml", "a: ]", "train.yaml: .*line ")],
    "interpolations": [
        (BASIC, "monitor: ${monitr}", f"{BASIC}: monitor: .*'monitr'"),
        (OTHER, "trainer: {max_epochs: '${trainer.epohcs}'}", f"{OTHER}: trainer.max_epochs: .*epohcs"),
    ],
    "keys and types": [
        (BASIC, "data: {batchsize: 3}", f"{BASIC}: data.batchsize: .*Did you mean 'batch_size'"),
        (CPU, "max_epoch: 3", f"{CPU}: trainer.max_epoch: .*Did you mean 'max_epochs'"),
        (CPU, "log_every_n_steps: often", f"{CPU}: trainer.log_every_n_steps: 'often' given; .*int"),
        (BASIC, "trainer: {max_epochs: 1.5}", f"{BASIC}: trainer.max_epochs: 1.5 given"),
        (STOPPING, "  patiense: 3", f"{STOPPING}: callbacks.early_stopping.patiense: .*'patience'"),
        (CSV, "  _target_: lightning.pytorch.loggers.CVSLogger", f"{CSV}: logger.csv._target_: .*CVSLogger"),
        (MICRO, "  droput: 0.1", f"{MICRO}: model.network.droput: .*Did you mean 'dropout'"),
        (MICRO, "  feature_dim: wide", f"{MICRO}: model.network.feature_dim: 'wide' given"),
        (ADAMW, "weigth_decay: 0.1", f"{ADAMW}: model.optimizer.weigth_decay: .*'weight_decay'"),
        (BASIC, "trianer: {max_epochs: 3}", f"{BASIC}: trianer: no such key. Did you mean 'trainer'"),
        (BASIC, "preflight: {allow_blnd: true}", f"{BASIC}: preflight.allow_blnd: .*'allow_blind'"),
        (BASIC, "seed: some", f"{BASIC}: seed: 'some' given"),
    ],
    "values": [
        (STOPPING, "  mode: least", f"{STOPPING}: callbacks.early_stopping: .*least"),
        (BASIC, "dataset: {size: some}", f"{BASIC}: dataset.size: 'some' given"),
        (OTHER, "monitor: val/note_velocty_mae", f"{OTHER}: monitor: no metric .*'val/note_velocity_mae'"),
        (BASIC, "data: {val_fraction: 3}", f"{BASIC}: data.val_fraction: 3 given"),
    ],
    "parts": [
        ("synth/moog_basic.yaml", "  voise: 1", "synth/moog_basic.yaml: synth.voise: 1 given"),
        ("heads/regression.yaml", "  los: l1", "heads/regression.yaml: model.heads.*los"),
        (OTHER, "trainer: {precision: bf16-true}", f"{OTHER}: trainer.precision: bf16-true given"),
    ],
}


@pytest.mark.long
@pytest.mark.parametrize(
    "faults",
    [pytest.param(one, marks=[] if name == "parts" else pytest.mark.slow, id=name) for name, one in PLANTED.items()],
)
def test_planted_faults_are_told_with_their_files_and_keys(configs, faults):
    for file, line, _ in faults:
        plant(configs / file, line)
    found = check(configs).faults
    assert all("\n" not in one for one in found)
    for _, line, expected in faults:
        assert any(re.match(expected, one) for one in found), (line, found)


def test_every_pair_of_choices_occurs():
    names = ["a", "b", "c"], ["cpu", "gpu", "mps"], ["csv", "none"]
    given = [tuple(choices.values()) for choices in covering_pairs(*names)]
    assert len(given) == 9
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert {(choices[first], choices[second]) for choices in given} == set(product(names[first], names[second]))


@pytest.mark.slow
def test_the_projects_own_configs_have_no_fault():
    done = running.command("src/cli/check_configs.py")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].endswith("no faults")
