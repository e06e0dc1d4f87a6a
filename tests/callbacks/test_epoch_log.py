"""The lines of a training, against the figures of its CSV log."""

import csv
import logging
import math
from types import SimpleNamespace

import pytest
import torch

from src.callbacks import epoch_log
from src.callbacks.epoch_log import EpochLog
from tests import running
from tests.callbacks.test_progress import trainer_of

QUICK = ("logger=csv", "callbacks=[epoch_log,model_checkpoint]")


def lines_of(caplog):
    """Return what the callback has logged."""
    return [record.getMessage() for record in caplog.records if record.name == "src.callbacks.epoch_log"]


def rows_of(caplog):
    """Return the cells of the lines of epochs: epoch, train/loss, metric, best, seconds, and the time left."""
    rows = [line.split(maxsplit=5) for line in lines_of(caplog)]
    return [row for row in rows if len(row) > 4 and row[0][0].isdigit()]


def logged(output):
    """Return (train/loss, val/nmae) by epoch as the CSV file has them, nan where there is none."""
    with (output / "csv/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    epochs = {int(row["epoch"]): [math.nan, math.nan] for row in rows if row.get("train/loss")}
    for row in rows:
        for at, name in enumerate(("train/loss", "val/nmae")):
            if row.get(name) and int(row["epoch"]) in epochs:
                epochs[int(row["epoch"])][at] = float(row[name])
    return epochs


def shown(value):
    return "-" if math.isnan(value) else f"{value:.4g}"


@pytest.fixture
def trained_lines(data_root, saw, tmp_path, caplog):
    """Train with some overrides; returns the rows of the log and the CSV file's figures by epoch."""

    def run(*overrides):
        caplog.set_level(logging.INFO)
        caplog.clear()
        running.run("train", data_root, tmp_path, *QUICK, "test=false", *overrides)
        return rows_of(caplog), logged(tmp_path)

    return run


@pytest.mark.parametrize(
    ("overrides", "epochs"),
    [
        (("trainer.max_epochs=3",), ["1/3", "2/3", "3/3"]),
        (("trainer.max_epochs=3", "+trainer.check_val_every_n_epoch=2"), ["1/3", "2/3", "3/3"]),
        (("+trainer.max_steps=6",), ["1/2", "2/2"]),
        (("trainer.max_epochs=-1", "+trainer.max_steps=6"), ["1/2", "2/2"]),
        (("trainer.limit_train_batches=2", "trainer.max_epochs=2"), ["1/2", "2/2"]),
        (("+trainer.accumulate_grad_batches=2", "trainer.max_epochs=2"), ["1/2", "2/2"]),
    ],
    ids=str,
)
def test_each_epoch_has_a_line_with_the_figures_of_the_csv_file(trained_lines, overrides, epochs):
    rows, figures = trained_lines(*overrides)
    assert [row[0] for row in rows] == epochs
    best = math.nan
    for row, (loss, value) in zip(rows, figures.values(), strict=True):
        best = value if math.isnan(best) or value < best else best
        assert row[1:4] == [shown(loss), shown(value), shown(best)]
        assert 0 <= float(row[4]) < 100
    assert rows[-1][5] == "0 s"


def test_a_validation_within_an_epoch_has_a_line_of_its_own(trained_lines, caplog):
    rows, figures = trained_lines("+trainer.val_check_interval=2", "trainer.max_epochs=2", "data.batch_size=20")
    assert [row[0] for row in rows] == ["0.40/2", "0.80/2", "1/2", "1.40/2", "1.80/2", "2/2"]
    assert [row[2] == "-" for row in rows] == [False] * 6
    assert [rows[at][1] for at in (2, 5)] == [shown(loss) for loss, _ in figures.values()]


def test_without_validations_the_training_loss_is_all_there_is(trained_lines):
    no_validation = ("trainer.limit_val_batches=0", "monitor=train/loss", "callbacks=epoch_log")
    rows, figures = trained_lines(*no_validation, "trainer.max_epochs=2")
    losses = [loss for loss, _ in figures.values()]
    assert [row[1:4] for row in rows] == [
        [shown(loss), shown(loss), shown(min(losses[: at + 1]))] for at, loss in enumerate(losses)
    ]


def test_whatever_is_monitored_is_shown_under_its_name(trained_lines, caplog, tmp_path):
    trained_lines("monitor=val/log10_decay_time_mae")
    header = next(line for line in lines_of(caplog) if "seconds" in line)
    assert "val/log10_decay_time_mae" in lines_of(caplog)[0]
    assert header.split()[:4] == ["epoch", "train/loss", "log10_decay_time_mae", "best"]
    assert all(len(f"[INFO] {line}") <= 80 for line in lines_of(caplog)[1:-1])


@pytest.mark.long
def test_a_resumed_run_counts_on_and_knows_its_best(data_root, saw, tmp_path, caplog):
    constant = ("scheduler=constant", "test=false", *QUICK)
    running.run(
        "train", data_root, tmp_path, *constant, "trainer.max_epochs=2", "callbacks=[epoch_log,model_checkpoint]"
    )
    caplog.set_level(logging.INFO)
    caplog.clear()
    running.run("train", data_root, tmp_path, *constant, "trainer.max_epochs=4", f"resume={tmp_path}")
    rows, figures = rows_of(caplog), logged(tmp_path)
    assert [row[0] for row in rows] == ["3/4", "4/4"]
    for row, epoch in zip(rows, (2, 3), strict=True):
        assert row[3] == shown(min(value for at, (_, value) in figures.items() if at <= epoch))
    assert lines_of(caplog)[0].startswith("training: epochs 3 to 4, ")


def test_the_last_line_tells_how_long_it_took_and_what_was_best(trained_lines, caplog):
    _, figures = trained_lines("trainer.max_epochs=3")
    values = [value for _, value in figures.values()]
    best = f"best val/nmae {shown(min(values))} in epoch {values.index(min(values)) + 1}"
    assert lines_of(caplog)[-1].startswith("trained 3 epochs in ") and lines_of(caplog)[-1].endswith(best)


@pytest.fixture
def log_lines(monkeypatch, caplog):
    """Return a function that shows a callback some epochs of given duration; it returns the lines."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(epoch_log.time, "monotonic", lambda: clock.now)
    caplog.set_level(logging.INFO)
    module = SimpleNamespace(train_terms=SimpleNamespace(sums=torch.tensor([6.0]), count=torch.tensor(4.0)))

    def run(epochs, batches=4, seconds_of_batch=1.0, metric="val/x", **changes):
        given = {"is_global_zero": True, "is_last_batch": False, "progress_bar_callback": None}
        trainer = trainer_of(**given | {"num_training_batches": batches, "max_epochs": epochs} | changes)
        trainer.callback_metrics["train/loss"] = torch.tensor(0.5)
        callback = EpochLog(metric)
        callback.on_train_start(trainer, module)
        for epoch in range(epochs):
            trainer.current_epoch = epoch
            callback.on_train_epoch_start(trainer, module)
            for batch in range(batches if math.isfinite(batches) else 100):
                clock.now += seconds_of_batch
                trainer.is_last_batch = batch == batches - 1
                callback.on_train_batch_end(trainer, module, None, None, batch)
            callback.on_train_epoch_end(trainer, module)
        callback.on_train_end(trainer, module)
        return lines_of(caplog)

    return run


def test_a_long_epoch_has_a_line_after_ten_seconds_and_then_one_a_minute(log_lines, caplog):
    log_lines(1, batches=200)
    assert [row[0] for row in rows_of(caplog)] == ["0.06/1", "0.36/1", "0.67/1", "0.97/1", "1/1"]
    assert [row[1] for row in rows_of(caplog)] == ["1.5"] * 4 + ["0.5"]
    assert [row[5] for row in rows_of(caplog)] == ["3 min", "2 min", "67 s", "6 s", "0 s"]


def test_data_without_an_end_count_batches(log_lines, caplog):
    lines = log_lines(1, batches=math.inf, max_epochs=-1)
    assert lines[0] == "training: until it is stopped; the best epoch has the lowest val/x"
    assert any(line.startswith("batch 11 ") for line in lines) and all("/" not in row[0] for row in rows_of(caplog))


def test_the_header_comes_again_in_a_long_log(log_lines):
    lines = log_lines(45)
    assert [at for at, line in enumerate(lines[1:]) if "seconds" in line] == [0, 21, 42]


def test_a_long_name_is_shortened_but_told_in_full_once(log_lines):
    name = "val/" + "x" * 200
    lines = log_lines(2, metric=name)
    assert name in lines[0] and all(len(line) < 80 for line in lines[1:])


def test_other_processes_than_the_first_write_nothing(log_lines):
    assert log_lines(2, is_global_zero=False) == []


def test_a_job_among_others_names_itself_in_each_line(log_lines, monkeypatch):
    monkeypatch.setattr(epoch_log, "job_label", lambda: "trial 3: ")
    lines = log_lines(2)
    assert len(lines) == 4 and all(line.startswith("trial 3: ") and len(f"[INFO] {line}") <= 80 for line in lines[1:])


def test_where_a_bar_is_drawn_only_files_get_the_lines(log_lines, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(epoch_log, "is_interactive", lambda: True)
    handler = logging.FileHandler(tmp_path / "train.log")
    logging.getLogger().addHandler(handler)
    try:
        assert log_lines(2, progress_bar_callback=object()) == []
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    written = (tmp_path / "train.log").read_text().splitlines()
    assert [line.split()[0] for line in written] == ["training:", "epoch", "1/2", "2/2"]
