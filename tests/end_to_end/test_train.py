"""Training as the command line runs it: what it refuses, what it leaves, and that it never sees the test split."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.data.vimh.records import pack_records
from tests import running

SPLITS = ("train", "val", "test")


def checkpoint_of(output, name="best"):
    return torch.load(output / f"checkpoints/{name}.ckpt", weights_only=True)


def same(one, other):
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def metrics_of(output):
    """Return the logged rows without those of the test."""
    with (output / "csv/metrics.csv").open() as file:
        rows = [{name: value for name, value in row.items() if name[:5] != "test/"} for row in csv.DictReader(file)]
    return [row for row in rows if any(row[name] for name in row if "/" in name)]


def test_the_best_checkpoint_is_the_one_that_validation_chose_and_that_is_tested(trained):
    rows = metrics_of(trained.output)
    scores = [float(row["val/nmae"]) for row in rows if row["val/nmae"]]
    assert len(scores) == 4
    assert trained.score == min(scores)
    assert checkpoint_of(trained.output)["epoch"] == int(np.argmin(scores))
    assert checkpoint_of(trained.output, "last")["epoch"] == 3


def test_last_is_the_last_epoch_even_when_nothing_improves(data_root, saw, tmp_path):
    running.run("train", data_root, tmp_path, "model.optimizer.lr=0", "trainer.max_epochs=3", "logger=none")
    assert checkpoint_of(tmp_path)["epoch"] == 0
    assert checkpoint_of(tmp_path, "last")["epoch"] == 2


def test_logs_hold_every_hyperparameter_and_the_datasets_identity(trained, saw):
    plain = yaml.safe_load((trained.output / "csv/hparams.yaml").read_text())
    assert plain["dataset"] == saw.name
    assert plain["dataset_sha256"] == hashlib.sha256((saw / "train").read_bytes()).hexdigest()
    state = checkpoint_of(trained.output)["state_dict"]
    weights = {name: one for name, one in state.items() if ".calibration." not in name}
    assert plain["num_parameters"] == sum(one.numel() for one in weights.values())
    assert plain["model"] == running.plain("train", "model")
    assert (plain["seed"], plain["monitor"], plain["trainer"]["max_epochs"]) == (0, "val/nmae", 4)
    assert plain["data"]["batch_size"] == 32 and plain["data"]["recipe"]["dataset"]["size"] == 128
    assert yaml.safe_load((trained.output / "tensorboard/hparams.yaml").read_text()) == plain


def test_tensorboard_holds_the_same_curves_as_the_csv(trained):
    found = {}
    for path in (trained.output / "tensorboard").glob("events*"):
        events = EventAccumulator(str(path)).Reload()
        for tag in events.Tags()["scalars"]:
            found.setdefault(tag, []).extend((event.step, event.value) for event in events.Scalars(tag))
    rows = metrics_of(trained.output)
    for tag in ("train/loss", "val/nmae", "val/note_velocity_mae"):
        expected = [(int(row["step"]), float(row[tag])) for row in rows if row[tag]]
        assert sorted(found[tag]) == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]
    assert "test/nmae" in found


@pytest.mark.parametrize(
    "heads",
    [
        name if name in ("weighted_cross_entropy", "gaussian", "corn") else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(path.stem for path in (running.CONFIGS / "heads").glob("*.yaml"))
    ],
)
def test_plain_gradient_descent_diverges_with_no_kind_of_heads(data_root, saw, tmp_path, heads):
    words = (f"heads={heads}", "optimizer=sgd", "trainer.max_epochs=4", "logger=none", "test=false")
    assert running.run("train", data_root, tmp_path, *words) < 0.25  # the mean baseline


def test_a_validation_before_the_first_epoch_changes_nothing(data_root, saw, tmp_path):
    words = (
        "trainer.max_epochs=1",
        "logger=none",
        "callbacks=[default,grouped_progress_bar,throughput,gradient_stats]",
    )
    scores = [
        running.run("train", data_root, tmp_path / str(steps), *words, f"trainer.num_sanity_val_steps={steps}")
        for steps in (0, -1)
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("logger", ["csv", "tensorboard", "none"])
def test_loggers_only_watch(data_root, saw, tmp_path, logger):
    """The weights are the same whichever of them is there."""
    running.run("train", data_root, tmp_path, f"logger={logger}", "trainer.max_epochs=1")
    running.run(
        "train", data_root, tmp_path / "bare", "logger=none", "callbacks=model_checkpoint", "trainer.max_epochs=1"
    )
    assert same(checkpoint_of(tmp_path)["state_dict"], checkpoint_of(tmp_path / "bare")["state_dict"])
    assert (tmp_path / "csv").exists() == (logger != "none")
    assert (tmp_path / "tensorboard").exists() == (logger == "tensorboard")


def test_without_callbacks_the_last_weights_are_tested_and_nothing_is_kept(data_root, saw, tmp_path):
    score = running.run("train", data_root, tmp_path, "callbacks=none", "logger=csv")
    assert not list(tmp_path.rglob("*.ckpt"))
    assert score == float([row["val/nmae"] for row in metrics_of(tmp_path) if row["val/nmae"]][-1])
    assert (tmp_path / "test_results.json").is_file()


@pytest.mark.parametrize("debug", ["default", "fdr", "limit", "profiler"])
def test_every_debug_preset_runs_on_the_default_data(data_root, tmp_path, debug, capsys):
    size = "dataset.size=256"
    assert running.run("train", data_root, tmp_path, f"debug={debug}", size) > 0
    assert ("print_config: true" in capsys.readouterr().out) == (debug in ("default", "limit"))
    assert (tmp_path / "trace/rank0.pt.trace.json").exists() == (debug == "profiler")


def test_the_best_checkpoint_is_that_of_a_metric_whatever_stands_before_it(data_root, saw, tmp_path):
    both = "callbacks=[periodic_checkpoint,default]"
    score = running.run("train", data_root, tmp_path, both, "callbacks.periodic_checkpoint.every_n_epochs=1")
    assert score == min(float(row["val/nmae"]) for row in metrics_of(tmp_path) if row["val/nmae"])


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfitting_learns_three_batches_by_heart(data_root, saw, tmp_path):
    few = ("data.batch_size=8", "trainer.max_epochs=60", "model.optimizer.lr=0.01")
    csv_logger = f"{{_target_: lightning.pytorch.loggers.CSVLogger, save_dir: {tmp_path}, name: csv, version: ''}}"
    running.run("train", data_root, tmp_path, "debug=overfit", f"++logger={{csv: {csv_logger}}}", *few)
    losses = [float(row["train/loss"]) for row in metrics_of(tmp_path) if row["train/loss"]]
    assert len(losses) == 60 and losses[-1] < 0.2 * losses[0]


def test_data_made_on_the_way_train_the_same_weights_as_data_that_were_there(data_root, saw, tmp_path):
    running.run("train", data_root, tmp_path / "there", "logger=none")
    running.run("train", tmp_path / "data", tmp_path / "made", "logger=none")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [saw.name]
    assert same(checkpoint_of(tmp_path / "there")["state_dict"], checkpoint_of(tmp_path / "made")["state_dict"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_test_split_reaches_neither_weights_nor_figures_nor_the_choice(data_root, saw, trained, tmp_path, when):
    """Its images are noise and its labels shuffled, from the start or once training runs: only the test notices."""
    directory, poison = shutil.copytree(saw, tmp_path / "data" / saw.name), tmp_path / "poison"
    poison.mkdir()
    records = np.frombuffer((saw / "test").read_bytes(), np.uint8).reshape(13, -1)[::-1].copy()
    records[:, 19:] = np.random.default_rng(0).integers(0, 256, (13, 32 * 32))
    (poison / "test").write_bytes(records.tobytes())
    np.save(poison / "test_params.npy", np.load(saw / "test_params.npy")[::-1].copy())
    overrides = [f"data.data_dir={directory}", "trainer.max_epochs=4"]
    if when == "before":
        shutil.copytree(poison, directory, dirs_exist_ok=True)
    else:
        overrides += ["+callbacks.poison._target_=tests.end_to_end.callbacks.Overwrite"]
        overrides += [f"+callbacks.poison.source={poison}", f"+callbacks.poison.target={directory}"]
    running.run("train", data_root, tmp_path / "run", *overrides)
    assert metrics_of(tmp_path / "run") == metrics_of(trained.output)
    for name in ("best", "last"):
        clean, poisoned = checkpoint_of(trained.output, name), checkpoint_of(tmp_path / "run", name)
        assert clean["epoch"] == poisoned["epoch"]
        assert same(clean["state_dict"], poisoned["state_dict"])
    results = json.loads((tmp_path / "run/test_results.json").read_text())
    assert all(results["metrics"][name] != value for name, value in trained.results["metrics"].items() if "mae" in name)


def test_a_damaged_test_split_is_told_before_a_model_is_built(data_root, saw, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("src.models.build.build_model", lambda *_: pytest.fail("built first"))
    directory = shutil.copytree(saw, tmp_path / "data" / saw.name)
    (directory / "test").write_bytes((saw / "test").read_bytes()[:-1])
    message = running.fault(caplog, "train", data_root, tmp_path / "run", f"data.data_dir={directory}")
    assert message.startswith(f"{directory / 'test'}: ")
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_records_of_differing_shape_train_test_and_predict(data_root, tmp_path):
    directory = tmp_path / "ragged"
    directory.mkdir()
    rng = np.random.default_rng(0)
    for split, count in zip(SPLITS, (48, 16, 12), strict=True):
        images = [rng.integers(0, 256, (1, 1, 16, (16, 24)[at % 2]), np.uint8) for at in range(count)]
        codes, scale = rng.integers(0, 256, (count, 1, 2), np.uint8), np.array([[-80, 0]], np.float32)
        records = [pack_records(image, code, scale) for image, code in zip(images, codes, strict=True)]
        (directory / split).write_bytes(b"".join(record.tobytes() for record in records))
    mapping = {"min": 0, "max": 1, "step": 0.1}
    info = {"height": 16, "width": 16, "channels": 1, "parameter_names": ["a", "b"]}
    info |= {"parameter_mappings": {"a": mapping, "b": mapping}, "label_encoding": {"metadata_bytes": 14}}
    (directory / "vimh_dataset_info.json").write_text(json.dumps(info))
    running.run("train", data_root, tmp_path, f"data.data_dir={directory}", "data.batch_size=8")
    results = json.loads((tmp_path / "test_results.json").read_text())
    assert results["num_samples"] == 12 and results["image_error"] is None
    best = tmp_path / "checkpoints/best.ckpt"
    running.run("predict", data_root, tmp_path / "predicted", f"ckpt_path={best}", f"input={directory}")
    predictions = json.loads((tmp_path / "predicted/predictions.json").read_text())["predictions"]
    error = np.mean(
        [abs(one["a"] - code / 255) for one, code in zip(predictions.values(), a_codes(directory), strict=True)]
    )
    assert results["rows"][0]["mae"] == pytest.approx(error, rel=1e-5)
    running.run("eval", data_root, tmp_path / "eval", f"ckpt_path={best}", f"data.data_dir={directory}", "report=true")
    assert (tmp_path / "eval/report.html").is_file()


def a_codes(directory):
    """Walk the test records: 19 bytes of head, then 16 x 16 or 16 x 24 of image."""
    data, at = (directory / "test").read_bytes(), 0
    while at < len(data):
        yield data[at + 16]
        at += 19 + 16 * int.from_bytes(data[at + 2 : at + 4], "little")


@pytest.mark.parametrize("model", ["cnn_tiny", "cnn_64k"])
def test_every_model_trains_with_classification_heads_and_auxiliary_inputs(data_root, saw, tmp_path, model):
    heads = ("model.heads.default.kind=classification", "+model.heads.note_velocity={kind: regression, loss: huber}")
    running.run("train", data_root, tmp_path, f"model={model}", *heads, "model.auxiliary=concat", "logger=none")
    assert checkpoint_of(tmp_path)["model_config"]["auxiliary"] == "concat"


@pytest.mark.parametrize("heads", ["regression", "ordinal", "evidential"])
def test_mixed_precision_trains_to_finite_losses_near_those_of_float32(data_root, saw, tmp_path, heads):
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        given = (f"heads={heads}", f"trainer.precision={precision}", "trainer.max_epochs=1", "logger=csv")
        score = running.run("train", data_root, tmp_path / precision, *given)
        assert 0 < score < 1
        (row,) = [row for row in metrics_of(tmp_path / precision) if row["train/loss"]]
        losses[precision] = [float(row[name]) for name in sorted(row) if name.startswith("train/loss")]
    assert np.isfinite(losses["bf16-mixed"]).all() and losses["bf16-mixed"] != losses["32-true"]
    np.testing.assert_allclose(losses["bf16-mixed"], losses["32-true"], rtol=0.05)
    state = checkpoint_of(tmp_path / "bf16-mixed")["state_dict"]
    assert all(one.dtype == torch.float32 for one in state.values() if one.is_floating_point())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer=gpu"], ["trainer: this machine has no gpu", "trainer=cpu"]),
        (["trainer=mps"], ["trainer: this machine has no mps", "trainer=auto"]),
        (["callbacks.early_stopping.monitor=val/los"], ["callbacks.early_stopping.monitor: no metric 'val/los'"]),
        (["+callbacks.ema.decay=0.9"], ["callbacks.ema: has values but no _target_", "add it with +callbacks=ema"]),
        (["trainer.max_epochs=three"], ["trainer.max_epochs: 'three' given; ", "takes Optional[int]"]),
        (["trainer.max_epochs=2.5"], ["trainer.max_epochs: 2.5 given; ", "takes Optional[int]"]),
        (["data.batch_size=abc"], ["data.batch_size: 'abc' given; ", "takes int"]),
        (["model.optimizer.lr=abc"], ["model.optimizer.lr: 'abc' given; ", "takes float"]),
        (["callbacks.early_stopping.patience=abc"], ["callbacks.early_stopping.patience: 'abc' given; ", "takes int"]),
        (["seed=-1"], ["seed: -1 given; give a whole number from 0"]),
        (["seed=abc"], ["seed: abc given; give a whole number from 0"]),
        (["seed=1000000000000"], ["seed: 1000000000000 given; give a whole number from 0 to 4294967295"]),
        (["extras.num_threads=0"], ["extras.num_threads: 0 given; give 1 to 1024, or null for all cores"]),
        (["extras.num_threads=abc"], ["extras.num_threads: abc given"]),
        (["monitor=3"], ["monitor: 3 given; give a metric"]),
        (["+callbacks.mine=3"], ["callbacks.mine: 3 given; give a mapping of keys to values"]),
        (["seed=null"], ["seed: null given; give a whole number from 0"]),
        (["data.data_dir=memory://nowhere/typo"], ["memory://nowhere/typo: holds no vimh_dataset_info.json; give"]),
        (["data.batch_size=1e2"], ["data.batch_size: 100.0 given; ", "takes int"]),
        (["callbacks.model_checkpoint.save_top_k=3"], ["save_top_k: 3 given", "best.ckpt", "+callbacks=periodic_chec"]),
        (["monitor=val/nmea"], ["monitor: no metric 'val/nmea'", "Did you mean 'val/nmae'?"]),
        (["data.data_dir=nowhere/at_all"], ["data.data_dir: nowhere/at_all does not exist", "null"]),
        (["data.batch_size=0"], ["data.batch_size: 0 given"]),
        (["data.labels=exakt"], ["data.labels: 'exakt' given"]),
        (["data=vimh_stk"], ["vimh_stk does not exist", "null to generate"]),
        (["dataset.size=2"], ["dataset.size: 2 given", "give at least 3"]),
        (["synth.parameters.note_velocity.max=200"], ["synth.parameters.note_velocity.max: 200", "0..127"]),
        (["spectral.height=50", "spectral.n_fft=80"], ["height 50 is above n_fft // 2 = 40"]),
        (["synth=simple_saw_classic"], ["note_velocity has no measurable effect", "preflight.allow_blind=true"]),
        (["+model.heads.note_velocty.weight=2"], ["no such head", "Did you mean 'note_velocity'?"]),
        (["model.heads.default.weight=0"], ["model.heads: all weights are 0"]),
        (["model.heads.default.loss=crps"], ["model.heads.note_velocity.loss: loss crps does not suit", "huber"]),
        (
            ["model.heads.default.loss=hubert"],
            ["model.heads.note_velocity.loss: Unknown loss", "Did you mean 'huber'?"],
        ),
        (
            ["heads=coral", "+model.heads.note_velocity={loss: focal}"],
            ["focal does not suit a coral head; give one of coral"],
        ),
        (["model.auxiliary=both"], ["model.auxiliary: 'both' given; give concat, film"]),
        (["model.auxiliary=true"], ["model.auxiliary: True given; ", "takes str | None"]),
        (["model.balance=gradnorm"], ["model.balance: 'gradnorm' given; give one of weights, gradient, uncertainty"]),
        (["model.network.strides=[2,2]"], ["model.network: 3 channels and 2 strides"]),
        (
            ["model.network._target_=src.models.components.simple_cnn.SimpelCNN"],
            ["model.network._target_: ", "SimpelCNN"],
        ),
        (["~model"], ["data and model: both groups are needed"]),
        (["++trainer.limit_train_batches=0.001"], ["trainer: ", "limit_train_batches"]),
        (["+trainer.val_check_interval=100"], ["trainer: ", "val_check_interval"]),
        (["+trainer.val_check_interval=0"], ["trainer.val_check_interval: 0 given; give at least 1"]),
        (["data.num_workers=-1"], ["data.num_workers: -1 given; give 0 to "]),
        (["data.num_workers=1000000000"], ["data.num_workers: 1000000000 given; give 0 to "]),
        (["+model.adam_lr=0.1"], ["model.adam_lr: 0.1 given; the learning rate is model.optimizer.lr"]),
        (
            ["callbacks.early_stopping._target_=lightning.pytorch.callbacks.X"],
            ["callbacks.early_stopping._target_: ", "'X'"],
        ),
    ],
    ids=lambda value: value[0] if "=" in value[0] or "~" in value[0] else "",
)
def test_what_cannot_be_trained_is_one_line(data_root, saw, tmp_path, caplog, overrides, words):
    if overrides == ["trainer=gpu"] and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    if overrides == ["trainer=mps"] and torch.backends.mps.is_available():
        pytest.skip("this machine has MPS")
    message = running.fault(caplog, "train", data_root, tmp_path, *overrides)
    assert all(word in message for word in words), message
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_blind_head_trains_when_that_is_allowed(data_root, tmp_path):
    blind = ("synth=simple_saw_classic", "preflight.allow_blind=true", "logger=none")
    assert running.run("train", data_root, tmp_path, *blind) > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model.heads.default.loss=hubert"], "Did you mean 'huber'?"),
        (["model.network.channels=[8]"], "model.network: 1 channels and 3 strides"),
        (["model.optimizer.weight_decay=-1"], "model.optimizer: Invalid weight_decay value: -1"),
        (["model.scheduler.warmup_fraction=2"], "model.scheduler.warmup_fraction: 2 given"),
        (["+model.lr_multipliers={nothing.*: 0.1}"], "model.lr_multipliers: 'nothing.*' matches no parameter"),
        (["trainer.max_epochs=-7"], "max_epochs"),
        (["trainer.precision=64"], "trainer.precision: 64 given"),
        (["callbacks.early_stopping.mode=least"], "callbacks.early_stopping: "),
        (["data=vimh_online", "model.optimizer.lr=-1"], "model.optimizer: Invalid learning rate: -1"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_faults_of_the_config_are_told_before_a_dataset_is_made(tmp_path, caplog, words, told):
    line = running.fault(caplog, "train", tmp_path / "data", tmp_path / "run", *words)
    assert told in line and not (tmp_path / "data").exists()
