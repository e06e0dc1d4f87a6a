"""The progress bar, drawn on a terminal of 80 columns that is a buffer of the test."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from src.callbacks import grouped_progress_bar, progress_bar
from src.callbacks.progress_bar import TrainingBar
from tests import running
from tests.callbacks.test_progress import trainer_of


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that makes standard output a terminal, and returns that."""

    def make():  # in the test itself: pytest replaces sys.stdout after its fixtures
        made = Terminal()
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setattr(sys, "__stdout__", made)
        for module in (progress_bar, grouped_progress_bar):
            monkeypatch.setattr(module, "is_interactive", lambda: True)
        monkeypatch.setattr(progress_bar, "Console", lambda: Console(file=made, force_terminal=True, width=80))
        return made

    return make


def drawn(bar, width=80):
    """Return the lines of a bar as they are drawn now."""
    console = Console(file=io.StringIO(), width=width)
    console.print(bar._render())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def bar_of(trainer, metric="val/nmae", **figures):
    """Return a bar of a trainer in the middle of its second epoch."""
    bar = TrainingBar(metric)
    bar.setup(trainer, None, "fit")
    bar.on_train_start(trainer, None)
    for epoch in range(2):
        trainer.current_epoch = epoch
        bar.on_train_epoch_start(trainer, None)
        for batch in range(4 - 2 * epoch):
            bar.on_train_batch_end(trainer, None, None, None, batch)
        bar._is_ending = epoch == 0
    for name, value in figures.items():
        setattr(bar, name, value)
    return bar


def trainer(**changes):
    return trainer_of(is_global_zero=True, num_val_batches=[2], **changes)


def test_it_shows_the_epoch_the_losses_the_best_and_the_time_left_in_80_columns():
    first, second = drawn(bar_of(trainer(), train_loss=0.0123456, value=0.0456789, best=0.0401))
    assert first.startswith("epoch 2/10 ") and "2/4" in first and "at most" in first and first.endswith("left")
    assert second == "train/loss 0.01235   val/nmae 0.04568   best 0.0401"
    assert len(first) <= 80


@pytest.mark.parametrize("metric", ["val/log10_decay_time_mae", "val/" + "very_long_name_" * 20 + "mae"])
def test_whatever_is_monitored_is_shown_and_no_number_is_cut(metric):
    lines = drawn(bar_of(trainer(), metric, train_loss=-1.234e-05, value=-1.234e-05, best=-2.345e-05))
    text = " ".join(lines)
    assert max(map(len, lines)) <= 80 and text.count("-1.234e-05") == 2 and "best -2.345e-05" in text
    assert metric[-20:] in text


def test_without_a_limit_there_is_no_time_left_and_no_number_of_epochs():
    first, _ = drawn(bar_of(trainer(max_epochs=-1)))
    assert first.startswith("epoch 2 ") and "left" not in first


def test_a_validation_counts_its_own_batches():
    run = trainer()
    bar = bar_of(run)
    bar.on_validation_start(run, None)
    bar.on_validation_batch_end(run, None)
    first, _ = drawn(bar)
    assert first.startswith("epoch 2/10, validation ") and " 1/2 " in first


def test_the_loss_is_read_at_most_once_a_second(terminal, monkeypatch):
    terminal()
    clock, reads = SimpleNamespace(now=0.0), []
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: clock.now)
    run = trainer(num_training_batches=1000)
    bar = TrainingBar("val/nmae")
    bar.setup(run, None, "fit")
    monkeypatch.setattr(bar, "running_loss", lambda module: reads.append(clock.now) or 0.5)
    bar.on_train_start(run, None)
    for batch in range(1000):
        clock.now += 0.01
        bar.on_train_batch_end(run, None, None, None, batch)
    bar.on_train_end(run, None)
    assert 9 <= len(reads) <= 11 and bar.train_loss == 0.5


def test_nothing_is_drawn_where_standard_output_is_no_terminal(data_root, saw, tmp_path, capfd):
    running.run("train", data_root, tmp_path, "callbacks=rich_progress_bar", "test=false", "logger=none")
    out, err = capfd.readouterr()
    assert out + err == ""


@pytest.mark.parametrize("callbacks", ["none", "[default]"])
def test_lightning_adds_no_bar_of_its_own(data_root, saw, tmp_path, capfd, callbacks):
    no_bar = ("~callbacks.rich_progress_bar",) if callbacks == "[default]" else ()
    running.run("train", data_root, tmp_path, f"callbacks={callbacks}", *no_bar, "test=false", "logger=none")
    assert capfd.readouterr().out == ""


def test_log_lines_come_through_while_it_is_drawn_and_streams_are_restored(terminal):
    screen = terminal()
    handler = logging.StreamHandler(screen)
    logging.getLogger().addHandler(handler)
    try:
        run = trainer()
        bar = TrainingBar("val/nmae")
        bar.setup(run, None, "fit")
        bar.on_train_start(run, None)
        assert handler.stream is sys.stdout is not screen
        logging.getLogger("test").warning("[bold]a line")
        bar.on_exception(run, None, KeyboardInterrupt())
        assert handler.stream is sys.stdout is screen
    finally:
        logging.getLogger().removeHandler(handler)
    assert "[bold]a line\n" in screen.getvalue() and "epoch 1/10" in screen.getvalue()


def test_it_is_drawn_while_a_run_trains_and_tests_and_leaves_nothing(data_root, saw, tmp_path, terminal):
    screen = terminal()
    words = ("callbacks=[rich_progress_bar,model_checkpoint]", "logger=none")
    running.run("train", data_root, tmp_path, *words, "test=false")
    written = screen.getvalue()
    assert "epoch 2/2" in written and "train/loss 0." in written and "val/nmae 0." in written
    cleared = "\x1b[1A\x1b[2K"  # the line above
    assert written.endswith(f"\r{2 * cleared}")
    best = f"ckpt_path={tmp_path / 'checkpoints/best.ckpt'}"
    running.run("eval", data_root, tmp_path / "eval", best, "trainer=cpu")
    assert "test " in screen.getvalue().removeprefix(written)


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_of_several_processes_draws(terminal, rank):
    screen = terminal()
    run = trainer_of(is_global_zero=rank == 0, num_val_batches=[2])
    bar = TrainingBar("val/nmae")
    bar.setup(run, None, "fit")
    bar.on_train_start(run, None)
    bar.on_train_end(run, None)
    assert ("epoch 1/10" in screen.getvalue()) == (rank == 0)


def test_a_loss_on_a_device_is_the_mean_of_the_batches_so_far():
    module = SimpleNamespace(train_terms=SimpleNamespace(sums=torch.tensor([6.0, 1.0]), count=torch.tensor(4.0)))
    assert TrainingBar("val/nmae").running_loss(module) == 1.5
