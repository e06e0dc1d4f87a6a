"""The table that a run leaves beside its log."""

import csv
import re

import pytest

from tests import running

BAR = ("callbacks=[default,grouped_progress_bar]", "logger=csv", "trainer.max_epochs=4")


def shown(written):
    """Return name -> [unit, MAE, arrow, best] of the last table of heads in a run's output."""
    last = written.rpartition("Validation in epoch")[2].partition("test split")[0]
    lines = [re.split(r"\s*[│┃]\s*", line.strip(" │┃")) for line in last.splitlines()]
    return {line[0]: line[1:] for line in lines if line[0] in ("note_velocity", "log10_decay_time")}


def logged(output):
    with (output / "csv/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/nmae"]]
    return {name: [float(row[f"val/{name}_mae"]) for row in rows] for name in ("note_velocity", "log10_decay_time")}


def test_the_table_holds_the_last_and_the_best_of_what_is_logged(data_root, saw, tmp_path, capsys):
    running.run("train", data_root, tmp_path, *BAR)
    table, units = shown(capsys.readouterr().out), {"note_velocity": "MIDI velocity", "log10_decay_time": "log10 s"}
    for name, maes in logged(tmp_path).items():
        arrow = "↓" if maes[-1] < maes[-2] else "↑"
        assert table[name] == [units[name], f"{maes[-1]:.4g}", arrow, f"{min(maes):.4g}"]


@pytest.mark.long
def test_a_resumed_run_knows_the_best_of_before(data_root, saw, tmp_path, capsys):
    moving = "scheduler=constant"  # else the last rate, from which a resumed run starts, is 0
    running.run("train", data_root, tmp_path / "first", *BAR, moving)
    before = logged(tmp_path / "first")
    last = f"ckpt_path={tmp_path / 'first/checkpoints/last.ckpt'}"
    capsys.readouterr()
    running.run("train", data_root, tmp_path / "second", *BAR, last, moving, "trainer.max_epochs=5")
    table = shown(capsys.readouterr().out)
    after = logged(tmp_path / "second")
    for name, maes in after.items():
        assert table[name][1] == f"{maes[-1]:.4g}" and table[name][3] == f"{min(before[name] + maes):.4g}"
        assert table[name][2] == ("↓" if maes[-1] < before[name][-1] else "↑")
