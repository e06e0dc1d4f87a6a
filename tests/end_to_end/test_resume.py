"""A run that was stopped and goes on ends, bit by bit, where an undisturbed one ends."""

import csv
import functools
import json
import re
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.run.record import read_record
from tests import running
from tests.end_to_end import sessions

EPOCHS = "trainer.max_epochs=4"
SIGNAL = ("+callbacks.stop._target_=tests.end_to_end.callbacks.Signal", "+callbacks.stop.epoch=2")
SCHEDULED = (
    "{_target_: weighted_multi, balance: uncertainty, "
    "losses: [{loss: l1, weight: {start: 1, end: 0.1, steps: 10}}, {loss: huber}]}"
)
STOP = ("+callbacks.stop._target_=tests.end_to_end.callbacks.Interrupt",)


def checkpoint_of(output, name="last"):
    return torch.load(output / f"checkpoints/{name}.ckpt", weights_only=True)


def same(one, other):
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def differences(one, other, where=""):
    """Yield where two checkpoints differ, but for the names of their directories."""
    if torch.is_tensor(one):
        if not torch.equal(one, other):
            yield where
    elif isinstance(one, dict):
        ours, theirs = (
            {Path(key).name if str(key).startswith("/") else key: value for key, value in d.items()}
            for d in (one, other)
        )
        assert list(ours) == list(theirs), where
        for key, value in ours.items():
            yield from differences(value, theirs[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for at, value in enumerate(one):
            yield from differences(value, other[at], f"{where}[{at}]")
    elif one != other and not (where.endswith(("_path", "dirpath")) and Path(one).name == Path(other).name):
        yield where


def stopped(data_root, output, *overrides):
    """Run until a signal to itself ends it; return the exit status."""
    with pytest.raises(SystemExit) as exited:
        running.run("train", data_root, output, EPOCHS, *SIGNAL, *overrides)
    return exited.value.code


def interrupted(data_root, output, *overrides):
    with pytest.raises(SystemExit):
        running.run("train", data_root, output, EPOCHS, *STOP, *overrides)


@pytest.mark.long
@pytest.mark.parametrize(
    "model",
    [
        pytest.param((), marks=pytest.mark.slow),
        ("model.network.dropout=0.3", "model.heads.default.kind=classification", "seed=5"),
        pytest.param(
            ("model.balance=gradient", f"+model.heads.note_velocity.loss={SCHEDULED}"), marks=pytest.mark.slow
        ),
    ],
    ids=["plain", "dropout", "balance"],
)
def test_two_and_two_epochs_are_four(data_root, saw, tmp_path, model):
    given, stop = ("logger=none", *model), ("+callbacks.stop.epoch=2", "+callbacks.stop.batch=2")
    running.run("train", data_root, tmp_path / "straight", EPOCHS, *given)
    interrupted(data_root, tmp_path / "logs/train/runs/1", *given, *stop)
    assert checkpoint_of(tmp_path / "logs/train/runs/1")["epoch"] == 1
    logs = f"paths.log_dir={tmp_path / 'logs'}"
    running.run("train", data_root, tmp_path / "resumed", EPOCHS, *given, "ckpt_path=last", logs)
    straight, resumed = (checkpoint_of(tmp_path / name) for name in ("straight", "resumed"))
    assert resumed["epoch"] == 3 and resumed["global_step"] == straight["global_step"] == 12
    assert same(straight["state_dict"], resumed["state_dict"])
    assert torch.equal(straight["rng_state"], resumed["rng_state"])
    results = [json.loads((tmp_path / name / "test_results.json").read_text()) for name in ("straight", "resumed")]
    assert results[0] == results[1]


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


PLATEAU = ("scheduler=plateau", "model.scheduler.patience=0", "wrapper=lookahead", "model.wrappers.lookahead.every=4")


@pytest.mark.parametrize("name", ["best", "last"])
@pytest.mark.parametrize(
    ("batch", "given"),
    [
        slow(0, ("model.network.dropout=0.3",)),
        slow(1, PLATEAU),
        slow(1, ("+trainer.accumulate_grad_batches=2", "data.batch_size=8", "heads=classification")),
        slow(2, ("callbacks=[default,ema]", "optimizer=sgd", "callbacks.early_stopping.patience=1")),
        slow(1, ("model=frames_23k", "optimizer=muon", "wrapper=lookahead")),
        slow(1, ("data=vimh_online", "data.epoch_size=96", "dataset.size=128")),
        slow(1, ("augment=sound", "+data.augment.mixup={}", "heads=classification")),
        slow(1, ("data=vimh_online", "data.epoch_size=96", "dataset.size=128", "+data.augment.gain={}")),
        ("null", ("model.balance=gradient", "monitor=train/loss", "data.num_workers=1")),
        slow("null", ("+trainer.max_steps=11",)),
        (1, ("+trainer.max_steps=11",)),
    ],
    ids=[
        "first",
        "plateau",
        "accumulate",
        "at_the_end",
        "muon",
        "online",
        "augmented",
        "online_augmented",
        "in_validation",
        "steps",
        "steps_within",
    ],
)
def test_a_run_that_a_signal_stopped_anywhere_ends_as_if_it_had_not_been(finished_runs, name, batch, given):
    straight, resumed = finished_runs(batch, given)
    found = [checkpoint_of(run, name) for run in (straight, resumed)]
    assert not list(differences(*found))
    for file in ("csv/metrics.csv", "test_results.json"):
        assert (straight / file).read_bytes() == (resumed / file).read_bytes()


@pytest.fixture(scope="module")
def finished_runs(data_root, saw, tmp_path_factory):
    """Give the directories of a run that nothing disturbed, and of one that was stopped in epoch 2 and resumed."""

    @functools.cache
    def make(batch, given):
        root = tmp_path_factory.mktemp("runs")
        running.run("train", data_root, root / "straight", EPOCHS, "logger=csv", *given)
        signal_at = ("+callbacks.stop.name=SIGTERM", f"+callbacks.stop.batch={batch}")
        assert stopped(data_root, root / "resumed", "logger=csv", *given, *signal_at) == 143
        running.run("train", data_root, root / "resumed", EPOCHS, "logger=csv", *given, f"resume={root / 'resumed'}")
        sessions = json.loads((root / "resumed/run.json").read_text())["sessions"]
        assert [one["outcome"] for one in sessions] == ["interrupted", "finished"]
        return root / "straight", root / "resumed"

    return make


def test_a_best_checkpoint_from_before_the_interruption_stays_the_best(data_root, saw, tmp_path):
    """With a rate of 0 nothing improves on epoch 0, which only the interrupted session has seen."""
    still = ("model.optimizer.lr=0", "logger=none")
    interrupted(data_root, tmp_path, *still, "+callbacks.stop.epoch=2")
    before = (tmp_path / "checkpoints/best.ckpt").read_bytes()
    score = running.run("train", data_root, tmp_path, EPOCHS, *still, f"resume={tmp_path}")
    callbacks = checkpoint_of(tmp_path)["callbacks"]
    (best,) = [state for key, state in callbacks.items() if "ResumableCheckpoint" in key and state["monitor"]]
    assert best["best_model_path"] == str(tmp_path / "checkpoints/best.ckpt")
    assert best["best_model_score"].item() == score
    assert (tmp_path / "checkpoints/best.ckpt").read_bytes() == before and checkpoint_of(tmp_path, "best")["epoch"] == 0


def test_a_new_run_from_a_checkpoint_chooses_its_best_among_its_own_epochs(data_root, saw, tmp_path):
    """With a rate of 0 nothing improves on epoch 0, which only the earlier run has seen."""
    still = ("model.optimizer.lr=0", "logger=none")
    interrupted(data_root, tmp_path / "first", *still, "+callbacks.stop.epoch=2")
    last = tmp_path / "first/checkpoints/last.ckpt"
    running.run("train", data_root, tmp_path / "second", EPOCHS, *still, f"ckpt_path={last}")
    assert checkpoint_of(tmp_path / "second", "best")["epoch"] == 2


@pytest.mark.long
def test_what_was_best_on_other_data_is_no_match_for_these(data_root, saw, tmp_path):
    """With a rate of 0 no epoch is better than the checkpoint was, by its own dataset."""
    still = ("model.optimizer.lr=0", "logger=none", "scheduler=plateau", "model.scheduler.patience=9")
    interrupted(data_root, tmp_path / "first", *still, "+callbacks.stop.epoch=2")
    last = tmp_path / "first/checkpoints/last.ckpt"
    others = ("dataset.seed=5", "dataset.name=others", f"ckpt_path={last}")
    score = running.run("train", data_root, tmp_path / "second", EPOCHS, *still, *others)
    assert checkpoint_of(tmp_path / "second", "best")["epoch"] == 2
    assert checkpoint_of(tmp_path / "second")["lr_schedulers"][0]["best"] == pytest.approx(score)
    assert score != pytest.approx(checkpoint_of(tmp_path / "first")["lr_schedulers"][0]["best"], rel=1e-3)


def test_a_checkpoint_whose_losses_had_other_terms_can_be_gone_on_from(data_root, saw, tmp_path):
    terms = "model.heads.default.loss={_target_: weighted_multi, losses: [{loss: l1}, {loss: l2}%s]}"
    running.run("train", data_root, tmp_path / "first", "logger=none", terms % "")
    last = tmp_path / "first/checkpoints/last.ckpt"
    running.run("train", data_root, tmp_path, EPOCHS, "logger=none", terms % ", {loss: huber}", f"ckpt_path={last}")
    assert checkpoint_of(tmp_path)["epoch"] == 3 and (tmp_path / "test_results.json").is_file()


def test_from_the_end_of_a_run_nothing_is_left_to_train_and_its_last_weights_are_tested(data_root, trained, tmp_path):
    last = trained.output / "checkpoints/last.ckpt"
    assert running.run("train", data_root, tmp_path / "run", EPOCHS, "logger=none", f"ckpt_path={last}") is None
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={last}")
    one, other = (json.loads((tmp_path / name / "test_results.json").read_text()) for name in ("run", "eval"))
    assert one["rows"] == other["rows"]


def test_the_run_that_is_resumed_is_left_as_it_was(data_root, saw, tmp_path):
    interrupted(data_root, tmp_path / "first", "logger=none", "+callbacks.stop.epoch=2")
    before = {path: path.read_bytes() for path in (tmp_path / "first/checkpoints").iterdir()}
    last = tmp_path / "first/checkpoints/last.ckpt"
    running.run("train", data_root, tmp_path / "second", EPOCHS, "logger=none", f"ckpt_path={last}")
    assert {path: path.read_bytes() for path in (tmp_path / "first/checkpoints").iterdir()} == before


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=cnn_tiny"], ["its weights belong to another model", "size mismatch", "give the same model="]),
        (["model.heads.default.kind=classification"], ["its weights belong to another model"]),
        (["synth=moog_basic"], ["the model was trained on note_velocity 64..127"]),
    ],
)
def test_another_model_or_dataset_is_one_line(data_root, saw, trained, tmp_path, caplog, overrides, words):
    message = running.fault(caplog, "train", data_root, tmp_path, f"ckpt_path={trained.best}", *overrides)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            "model.optimizer.lr=0.001",
            "model.optimizer.lr: 0.001 given, but the checkpoint's optimizer has 0.008; give that",
        ),
        (
            "optimizer=sgd",
            "model.optimizer.lr: 0.1 given, but the checkpoint's optimizer has 0.008;",
        ),
        (
            "+model.lr_multipliers={network.*: 0.1}",
            r"model.lr_multipliers.network.\*: 0.1 given, .* optimizer has None;",
        ),
        ("~model.scheduler", "model.scheduler: none given, but the checkpoint's optimizer has a schedule;"),
    ],
)
def test_what_an_optimizers_state_would_overrule_is_one_line(data_root, saw, trained, tmp_path, caplog, given, words):
    message = running.fault(caplog, "train", data_root, tmp_path, f"ckpt_path={trained.best}", given)
    assert re.match(words, message), message


def test_a_schedules_values_hold_from_the_next_step_on(data_root, saw, trained, tmp_path):
    last = trained.output / "checkpoints/last.ckpt"
    given = ("trainer.max_epochs=6", "logger=none", "scheduler=constant", "model.scheduler.warmup_fraction=0")
    running.run("train", data_root, tmp_path, *given, f"ckpt_path={last}")
    assert checkpoint_of(tmp_path)["lr_schedulers"][0]["_last_lr"] == [0.008, 0.008]


@pytest.mark.long
@pytest.mark.parametrize("logged", [True, False])
def test_an_epochs_row_has_all_its_figures_once(data_root, saw, tmp_path, logged):
    """Those of callbacks too, whether a kill came after the row was logged or between the checkpoint and it."""
    choices = "callbacks=[default,throughput,gradient_stats]"
    given = (choices, "callbacks.gradient_stats.every=1", "logger=csv")
    stopped(data_root, tmp_path, *given, "+callbacks.stop.name=SIGTERM", "+callbacks.stop.batch=null")
    metrics = tmp_path / "csv/metrics.csv"

    def rows():
        with metrics.open() as file:
            found = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
        return [row for row in found if "train/loss" in row]

    before, lines = rows(), metrics.read_text().splitlines(keepends=True)
    assert len(before) == 3 and before[2]["throughput/samples_per_second"] and before[2]["grad_norm/max"]
    metrics.write_text("".join(lines if logged else lines[:-1]))
    running.run("train", data_root, tmp_path, EPOCHS, *given, f"resume={tmp_path}")
    assert rows()[:3] == before and len(rows()) == 4


@pytest.mark.long
def test_a_resumed_runs_config_is_saved_as_it_was(data_root, saw, tmp_path):
    stopped(data_root, tmp_path, "logger=csv", "+callbacks.stop.name=SIGTERM", "+callbacks.stop.batch=0")
    running.run("train", data_root, tmp_path, EPOCHS, "logger=csv", "seed=3", f"resume={tmp_path}")
    saved = OmegaConf.load(tmp_path / ".hydra/config.yaml")
    assert saved.logger == running.composed("train", "logger=csv").logger and saved.seed == 3


@pytest.mark.parametrize("size", [0, 5000, None])
def test_a_checkpoint_that_cannot_be_read_is_one_line(data_root, saw, trained, tmp_path, caplog, size):
    path = tmp_path / "bad.ckpt"
    path.write_bytes(b"hello" if size is None else trained.best.read_bytes()[:size])
    message = running.fault(caplog, "train", data_root, tmp_path, f"ckpt_path={path}")
    fault = ": 0 bytes" if size == 0 else " is not a readable checkpoint"
    assert message.startswith(f"ckpt_path: {path}{fault}")


@pytest.fixture
def restored():
    """Threads of torch and its choice of algorithms, restored afterwards."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_deterministic_runs_leave_the_same_bytes(data_root, saw, tmp_path, restored, caplog):
    given = ("deterministic=true", "extras.num_threads=2", "logger=csv", "model.network.dropout=0.2")
    with caplog.at_level("INFO"):
        for name in ("one", "other"):
            running.run("train", data_root, tmp_path / name, *given)
    assert "deterministic: results are bit-identical on this machine with 2 threads, but not with" in caplog.text
    assert torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
    for name in ("best", "last"):
        assert not list(differences(*(checkpoint_of(tmp_path / run, name) for run in ("one", "other"))))
    for file in ("csv/metrics.csv", "test_results.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_a_run_without_a_checkpoint_starts_where_it_began(data_root, saw, trained, tmp_path, caplog):
    with caplog.at_level("INFO"):
        running.run("train", data_root, tmp_path, EPOCHS, "logger=none", f"resume={tmp_path}")
    assert f"{tmp_path} has no checkpoint, so the run starts from the beginning" in caplog.text
    assert json.loads((tmp_path / "test_results.json").read_text()) == trained.results


def test_a_finished_run_is_so_until_its_limits_change_or_a_test_is_asked_for(data_root, saw, tmp_path, caplog):
    limited = ("logger=none", "+trainer.max_time={hours: 1}")
    with caplog.at_level("INFO"):
        running.run("train", data_root, tmp_path, *limited, "test=false")
        running.run("train", data_root, tmp_path, *limited, "test=false", f"resume={tmp_path}")
        assert "is finished" in caplog.text and not (tmp_path / "test_results.json").exists()
        running.run("train", data_root, tmp_path, *limited, f"resume={tmp_path}")
    assert (tmp_path / "test_results.json").is_file()


def test_a_launchers_name_that_has_been_used_is_refused(data_root, saw, tmp_path, caplog, monkeypatch):
    running.run("train", data_root, tmp_path, "logger=none")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for name, value in {"TORCHELASTIC_RUN_ID": "mine", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    message = running.fault(caplog, "train", data_root, tmp_path, "logger=none")
    assert (
        message == f"{tmp_path}: holds a finished run; give the new run another name, or continue this one with resume="
    )
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_fewer_epochs_than_are_trained_are_refused_before_anything_changes(data_root, saw, tmp_path, caplog):
    given = ("+callbacks.stop.name=SIGTERM", "+callbacks.stop.batch=0", "logger=none")
    assert stopped(data_root, tmp_path, *given) == 143
    before = (tmp_path / "run.json").read_bytes()
    message = running.fault(caplog, "train", data_root, tmp_path, f"resume={tmp_path}", "trainer.max_epochs=1")
    assert message == "trainer.max_epochs: 1 given, but the run is already in epoch 3; give more"
    assert (tmp_path / "run.json").read_bytes() == before and not (tmp_path / ".hydra").exists()


@pytest.mark.slow
def test_a_finished_run_says_so_and_trains_on_where_it_was_moved_to_when_more_is_asked_for(tmp_path):
    words = ["dataset.size=128", "data.batch_size=32", "trainer=cpu", f"paths.data_dir={tmp_path / 'data'}"]
    log, run = tmp_path / "log", tmp_path / "moved here, later"
    (tmp_path / "run").mkdir()
    code, text = sessions.finish(log, *words, "trainer.max_epochs=2", f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 0, text
    (tmp_path / "run").rename(run)

    def resumed(*overrides):
        code, text = sessions.finish(tmp_path / f"log{len(list(tmp_path.iterdir()))}", f"resume={run}", *overrides)
        assert code == 0, text
        return text

    def files():
        return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "train.log"}

    before = files()
    assert "is finished; to train it longer, give trainer.max_epochs=" in resumed()
    assert files() == before
    resumed("trainer.max_epochs=4")
    assert "is finished" in resumed() and "is finished" in resumed("trainer.max_epochs=4")
    assert [one["limits"]["max_epochs"] for one in read_record(run)] == [2, 4]
    assert f"resume={run}" in read_record(run)[1]["command"] or f"++resume='{run}'" in read_record(run)[1]["command"]
    callbacks = checkpoint_of(run)["callbacks"]
    paths = {state["best_model_path"] for key, state in callbacks.items() if "ResumableCheckpoint" in key}
    assert paths == {str(run / "checkpoints/best.ckpt"), str(run / "checkpoints/last.ckpt")}
    with (run / "csv/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    for name in ("train/loss", "val/nmae"):
        steps = [event.step for event in events.Scalars(name)]
        assert sorted(set(steps)) == [2, 5, 8, 11] and steps == sorted(steps)
