"""A user's fault ends in one line and a non-zero exit status, and before torch is imported where it can."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from src.cli.entry import entry_point, expand, join, one_line, require, run
from src.utils.errors import UserError
from tests import running

SCRIPTS = ("src/train.py", "src/eval.py", "src/predict.py", "generate_vimh.py", "build_dataset.py")
HEAVY = ("torch", "lightning", "numba", "scipy", "soundfile")


def raising(error):
    def function(config):
        raise error

    return entry_point(function)


def ended(caplog, function):
    with pytest.raises(SystemExit) as exited:
        function(OmegaConf.create())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and "\n" not in record.getMessage()
    return exited.value.code, record.getMessage()


def test_a_users_fault_is_its_own_line(caplog):
    assert ended(caplog, raising(UserError("a: b; do c"))) == (1, "a: b; do c")


def test_an_os_error_is_one_line_with_its_file(caplog):
    code, line = ended(caplog, raising(FileNotFoundError(2, "No such file", "x.wav")))
    assert code == 1 and "x.wav" in line and "No such file" in line


def test_ctrl_c_is_one_line_and_the_shells_status(caplog):
    code, line = ended(caplog, raising(KeyboardInterrupt()))
    assert code == 130 and line.startswith("interrupted")


@pytest.mark.parametrize("error", [ValueError("a bug"), TypeError("a bug"), KeyError("a bug")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error), match="a bug"):
        raising(error)(OmegaConf.create())


def test_a_task_passes_its_result_on_and_keeps_its_name():
    def main(config):
        """Do it."""
        return config.value + 1

    assert entry_point(main)(OmegaConf.create({"value": 1})) == 2
    assert (entry_point(main).__name__, entry_point(main).__doc__) == ("main", "Do it.")


def test_causes_are_joined_once_each():
    inner = OSError("the disk\n  is full")
    middle = ValueError("cannot write")
    middle.__cause__ = inner
    outer = RuntimeError("failed: cannot write")
    outer.__cause__ = middle
    assert one_line(outer) == "failed: cannot write: the disk is full"
    assert one_line(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConfigCompositionException("no such\ngroup"), "no such group (--cfg job shows the config"),
        (PermissionError(13, "denied", "/x"), "/x: denied; give a directory that can be written, as in paths.log_dir="),
    ],
)
def test_what_hydra_raises_is_one_line(capsys, monkeypatch, error, words):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def main():
        raise error

    with pytest.raises(SystemExit) as exited:
        run(main)
    written = capsys.readouterr().err
    assert exited.value.code == 1 and words in written and written.count("\n") == 1


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word(capsys, monkeypatch):
    def main():
        raise BrokenPipeError(32, "Broken pipe")

    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr("os._exit", leave)
    with pytest.raises(SystemExit) as exited:
        run(main)
    assert exited.value.code == 141 and capsys.readouterr().err == ""


def test_a_mandatory_key_that_is_missing_or_null_names_itself():
    config = OmegaConf.create({"a": "???", "b": None, "c": 0})
    for key in ("a", "b"):
        with pytest.raises(UserError, match=rf"^{key}: not given; give one$"):
            require(config, key, "give one")
    require(config, "c", "give one")


def test_null_takes_loggers_and_callbacks_away(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "logger=null", "callbacks=null", "ckpt_path=null", "seed=3"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    run(lambda: None)
    assert sys.argv[1:] == ["logger=none", "callbacks=none", "ckpt_path=null", "seed=3"]
    config = running.composed("train", *sys.argv[1:])
    assert not config.logger and not config.callbacks


@pytest.mark.parametrize(
    ("argument", "overrides"),
    [
        ("model=cnn_micro_regression", ["model=cnn_micro", "heads=regression"]),
        ("model=cnn_64k_ordinal", ["model=cnn_64k", "heads=ordinal"]),
        ("model=cnn_tiny_soft", ["model=cnn_tiny", "heads=soft"]),
        ("model=cnn_tiny_classification", ["model=cnn_tiny", "heads=classification"]),
        ("model=vit_tiny_coral", ["model=vit_tiny", "heads=coral"]),
        ("model=cnn_tiny_quantized_regression", ["model=cnn_tiny", "heads=quantized_regression"]),
        ("model=cnn_tiny", ["model=cnn_tiny"]),
        ("model=cnn_micro,vit_tiny", ["model=cnn_micro,vit_tiny"]),
        ("model.name=x_ordinal", ["model.name=x_ordinal"]),
        ("experiment=trivial_micro_small_regression", ["experiment=trivial_micro_small_regression"]),
        ("--help", ["--help"]),
        ("logger=null", ["logger=none"]),
        ("experiment=null", []),
        ("debug=null", []),
        ("+trainer.max_epochs=3", ["++trainer.max_epochs=3"]),  # it is there, and need not be
        ("++trainer.max_epochs=3", ["++trainer.max_epochs=3"]),
        ("+callbacks=ema", ["+callbacks=ema"]),
    ],
)
def test_a_models_name_may_end_in_its_heads(argument, overrides):
    assert expand(argument) == overrides
    if overrides and overrides[-1].startswith("heads="):
        config = running.composed("train", *overrides)
        kind = overrides[-1].removeprefix("heads=")
        of_kind = {"soft": "classification", "quantized_regression": "regression"}
        assert config.model.heads.default.kind == of_kind.get(kind, kind)
        assert config.model.network == running.composed("train", overrides[0]).model.network


@pytest.mark.parametrize("group", ["model", "trainer", "scheduler"])
def test_null_is_no_choice_of_a_group_that_has_one_by_default(group):
    with pytest.raises(UserError, match=f"^{group}: null given; choose one of its configs"):
        expand(f"{group}=null")


def test_every_kind_of_heads_may_end_a_models_name():
    for path in (running.CONFIGS / "heads").glob("*.yaml"):
        assert expand(f"model=cnn_micro_{path.stem}") == ["model=cnn_micro", f"heads={path.stem}"]


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        (["seed=1", "+callbacks=ema"], ["seed=1", "+callbacks=[ema]"]),
        (["+callbacks=[ema]", "--cfg", "job"], ["+callbacks=[ema]", "--cfg", "job"]),
        (["--cfg", "job", "+callbacks=ema", "+callbacks=swa"], ["--cfg", "job", "+callbacks=[ema,swa]"]),
        (["+callbacks=ema", "seed=1", "callbacks=none"], ["callbacks=[none,ema]", "seed=1"]),
        (["callbacks=[default,ema]", "+callbacks=[trace]"], ["callbacks=[default,ema,trace]"]),
        (["callbacks=default", "~callbacks.early_stopping"], ["callbacks=default", "~callbacks.early_stopping"]),
        (
            ["+callbacks.stop.epoch=1", "-m", "callbacks=none,default"],
            ["+callbacks.stop.epoch=1", "-m", "callbacks=none,default"],
        ),
    ],
)
def test_choices_that_are_added_join_those_there_are(words, joined):
    assert join(words, "callbacks") == joined
    assert join(words, "logger") == words


@pytest.mark.parametrize(
    ("words", "callbacks", "loggers"),
    [
        (
            ["+callbacks=ema", "+callbacks=throughput"],
            {"model_checkpoint", "ema", "throughput"},
            {"csv", "tensorboard"},
        ),
        (["callbacks=null", "+callbacks=ema"], {"ema"}, {"csv", "tensorboard"}),
        (["debug=fdr", "+callbacks=ema"], {"ema"}, set()),
        (["~callbacks.early_stopping", "+logger=mlflow"], {"model_checkpoint"}, {"csv", "tensorboard", "mlflow"}),
        (["callbacks=[]", "logger=null", "+logger=csv"], set(), {"csv"}),
    ],
)
def test_callbacks_and_loggers_are_added_and_dropped_by_name(monkeypatch, words, callbacks, loggers):
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    run(lambda: None)
    config = running.composed("train", *sys.argv[1:])
    found = set(config.callbacks or {})
    assert found == callbacks if "model_checkpoint" not in callbacks else callbacks <= found
    assert ("early_stopping" in found) == ("model_checkpoint" in callbacks and "~callbacks.early_stopping" not in words)
    assert set(config.logger or {}) == loggers


@pytest.mark.parametrize("word", ["+callbacks=ema,swa", "+callbacks=[ema],[swa]"])
def test_a_sweep_over_what_is_added_is_refused(word):
    with pytest.raises(UserError, match=r"a sweep needs whole lists, as in 'callbacks=\[default\],\[default,NAME\]'$"):
        join([word, "-m"], "callbacks")


@pytest.mark.parametrize("names", ["cnn_micro,cnn_micro_ordinal", "cnn_micro_ordinal,cnn_micro", "a_soft,b_corn"])
def test_a_sweep_over_names_that_end_in_heads_is_refused(names):
    with pytest.raises(UserError, match=f"^model={names}: give models and heads separately in a sweep"):
        expand(f"model={names}")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("argument", ["--help", "--version", "modle=cnn_micro"])
def test_help_version_and_a_mistyped_override_answer_before_anything_heavy_is_imported(script, argument):
    done = running.command(script, argument, flags=("-X", "importtime"))
    imported = {
        line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "import time:" in line
    }
    assert "hydra" in imported and not imported.intersection(HEAVY)
    told = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    if argument == "--help":
        assert done.returncode == 0 and not told and "Configuration groups" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80
    elif argument == "--version":
        shown = (
            r"neural-spectral-modeling-template [\d.]+, Python 3[\d.]+, torch [\w.+]+, (commit [0-9a-f]{12}|no commit)"
        )
        assert done.returncode == 0 and not told and re.match(shown, done.stdout)
    else:
        assert done.returncode == 1 and len(told) == 1 and "modle" in told[0] and not done.stdout


OF_TASKS = [
    (("src/predict.py", "input=a.wav"), ["ckpt_path: not given"]),
    (("src/predict.py", "ckpt_path=pyproject.toml"), ["input: not given"]),
    (("src/predict.py", "ckpt_path=pyproject.toml", "input=a.wav", "channel=center"), ["channel: 'center'", "mix"]),
    (("src/predict.py", "ckpt_path=none.ckpt", "input=a.wav"), ["ckpt_path: none.ckpt does not exist"]),
    (("src/eval.py", "ckpt_path=best"), ["no run in", "has a best.ckpt"]),
    (("src/train.py", "ckpt_path=none.ckpt"), ["ckpt_path: none.ckpt does not exist"]),
    (("src/train.py", "ckpt_path=last"), ["has a last.ckpt"]),
    (("src/train.py", "data.data_dir=none"), ["data.data_dir: none does not exist"]),
]


@pytest.mark.parametrize(("arguments", "words"), OF_TASKS, ids=lambda value: " ".join(value[:3]))
def test_what_a_task_cannot_do_is_one_clear_line_and_status_1(tmp_path, caplog, arguments, words):
    line = running.fault(caplog, Path(arguments[0]).stem, tmp_path, tmp_path / "out", *arguments[1:])
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("src/train.py", "trainer.max_epoch=3"), ["max_epoch", "--cfg job"]),
        (("src/train.py", "model=cnn_mcro_ordinal"), ["model/cnn_mcro", "cnn_micro", "--help"]),
        (("src/train.py", "hydra.run.dir=pyproject.toml/run"), ["pyproject.toml/run", "hydra.run.dir="]),
        (("src/eval.py",), ["ckpt_path: not given"]),
        (
            ("src/train.py", "hparams_search=vimh_optuna", "hydra.sweeper.study_name=../x"),
            ["hydra.sweeper.study_name: '../x' given; give at most 64 letters"],
        ),
        pytest.param(("src/train.py", "~data"), ["data and model: both groups are needed"], marks=pytest.mark.slow),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in OF_TASKS),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_a_bad_command_is_one_clear_line_and_status_1(tmp_path, arguments, words):
    given = "".join(arguments)
    logs = () if "hydra.run.dir" in given else (f"paths.log_dir={tmp_path}",)
    done = running.command(*arguments, *logs)
    told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert done.returncode == 1 and len(told) == 1, told
    assert all(word in told[0] for word in words), told


@pytest.mark.parametrize("option", ["--hlep", "--max_epochs=3", "-x", "--cfg", "--cfg=jobb", "--multirun=3"])
def test_an_option_that_does_not_exist_is_one_line(monkeypatch, capsys, option):
    from src.predict import main

    monkeypatch.setattr(sys, "argv", ["src/predict.py", option])
    with pytest.raises(SystemExit) as exited:
        run(main)
    written = capsys.readouterr().err
    assert exited.value.code == 1 and written.count("\n") == 1
    assert written.endswith("; give values without dashes, as in trainer.max_epochs=3; --help lists the options\n")


def test_a_file_of_an_experiment_may_have_any_name(monkeypatch, tmp_path):
    directory = tmp_path / "it's a=b,c #(1)"
    directory.mkdir()
    (directory / "best.yaml").write_text("# @package _global_\ntrainer: {max_epochs: 7}\n")
    monkeypatch.setattr(sys, "argv", ["train.py", f"experiment={directory}/best.yaml"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    run(lambda: None)
    assert running.composed("train", *sys.argv[1:]).trainer.max_epochs == 7
    with pytest.raises(UserError, match=r"no such file; leave out .yaml to choose one of configs/experiment$"):
        expand(f"experiment={tmp_path}/none.yaml")


def test_a_notebooks_backend_is_replaced_before_matplotlib_is_imported(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    run(lambda: None)
    assert os.environ["MPLBACKEND"] == "Agg"


@pytest.mark.parametrize(("given", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_leave_their_cores_unless_the_user_says_otherwise(monkeypatch, given, used):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    run(lambda: None)
    assert os.environ["OMP_WAIT_POLICY"] == used


@pytest.mark.slow
def test_the_wait_policy_is_set_before_torch_reads_it(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    done = running.command("src/train.py", "extras.num_threads=0", OMP_DISPLAY_ENV="true")
    assert re.search(r"OMP_WAIT_POLICY ?= ?'PASSIVE'", done.stderr)
    assert "extras.num_threads: 0 given" in done.stdout + done.stderr


def test_a_stray_rank_does_not_silence_a_command():
    done = running.command("src/predict.py", "ckpt_path=none.ckpt", "input=a", RANK="1")
    assert done.stderr == "RANK=1 is ignored: no launcher (torchrun, srun) has set it; unset it\n"
    assert done.returncode == 1 and done.stdout.count("\n") == 1 and "none.ckpt does not exist" in done.stdout
    done = running.command("src/predict.py", "ckpt_path=none.ckpt", "input=a", RANK="abc")
    assert (
        done.returncode == 1
        and done.stderr == "RANK: the environment sets it to 'abc', which is not a number; unset it\n"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [("src/predict.py", "-m", "ckpt_path=none.ckpt", "input=a,b"), ("generate_vimh.py", "-m", "dataset.size=1,2")],
    ids=lambda words: words[0],
)
def test_no_escape_codes_reach_what_is_no_terminal(tmp_path, words):
    done = running.command(*words, f"paths.log_dir={tmp_path}")
    assert "HYDRA" in done.stdout and "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("modle=3", 1)])
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_a_closed_output_changes_no_exit_status(argument, code, closed):
    line = f"exec {sys.executable} src/predict.py {argument} {closed}"
    done = subprocess.run(["sh", "-c", line], cwd=running.ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert done.stderr.startswith("modle: ") == (code == 1 and closed == ">&-")


def test_a_locale_without_the_letters_of_a_name_escapes_them():
    variables = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = running.command("src/predict.py", "ckpt_path=naïve.ckpt", "input=a", **variables)
    assert done.returncode == 1 and r"na\xefve.ckpt does not exist" in done.stdout
