"""The table at the end of a multirun: the overrides that differ, and all figures in files beside it."""

import csv

import pytest
import yaml

from src.run import multirun_table
from src.run.multirun_table import show, show_multirun
from src.run.table import Run
from tests.run.test_table import make_run, session


def make_job(directory, number, words, **changes):
    """Leave the files of a job of a multirun."""
    job = directory / str(number)
    if changes:
        make_run(job, session(**changes), test=0.1)
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra/overrides.yaml").write_text(yaml.safe_dump(words))
    return job


def rows_of(directory):
    with (directory / "runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_shows_the_overrides_in_which_runs_differ_in_the_order_of_the_jobs(tmp_path, capsys):
    for number in (10, 9, 0):
        words = ["trainer=cpu", f"model.optimizer.lr=0.{number}", *(["heads=corn"] if number else [])]
        make_job(tmp_path, number, words, score=number / 100)
    show_multirun(tmp_path)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "lr=" in line]
    assert [line.split()[:2] for line in lines] == [["0", "lr=0.0"], ["9", "lr=0.9"], ["10", "lr=0.10"]]
    assert [line.split()[2] for line in lines[1:]] == ["heads=corn"] * 2 and "trainer" not in out
    assert [row["model.optimizer.lr"] for row in rows_of(tmp_path)] == ["0.0", "0.9", "0.10"]
    assert max(map(len, out.splitlines()[:-2])) <= 80
    assert "best, test: val/nmae" in out


def test_a_run_that_failed_before_it_trained_has_a_row(tmp_path, capsys):
    make_job(tmp_path, 0, ["seed=0"], score=0.5)
    make_job(tmp_path, 1, ["seed=1"])
    show_multirun(tmp_path)
    assert [row["state"] for row in rows_of(tmp_path)] == ["finished", "failed"]
    assert "failed" in capsys.readouterr().out


def test_the_cause_of_a_failure_is_in_the_table(tmp_path, capsys):
    make_job(tmp_path, 0, ["seed=0"], outcome="failed: the loss [x] is nan; lower the rate")
    show_multirun(tmp_path)
    shown = "".join(line[-30:].strip() for line in capsys.readouterr().out.splitlines())
    assert "[x]" in shown and rows_of(tmp_path)[0]["cause"] == "the loss [x] is nan; lower the rate"


def test_commands_that_neither_train_nor_test_have_no_table(tmp_path, capsys):
    make_job(tmp_path, 0, ["input=a.wav"])
    show_multirun(tmp_path)
    assert capsys.readouterr().out == "" and not (tmp_path / "runs.csv").exists()


@pytest.mark.parametrize("content", ["", "a: 1", "- [1]\n- 3\n", "{", "\x00", "- a\n- =b\n- c=d=e"])
def test_damaged_overrides_stop_nothing(tmp_path, capsys, content):
    job = make_job(tmp_path, 0, [], score=0.5)
    (job / ".hydra/overrides.yaml").write_text(content)
    show_multirun(tmp_path)
    assert "0.5" in capsys.readouterr().out


def test_short_names_are_used_where_they_are_unique(tmp_path, capsys):
    overrides = {"model.a.weight": "1", "model.b.weight": "2", "model.optimizer.lr": "0.0123456789"}
    show([Run(tmp_path / "0", "finished", overrides=overrides)], tmp_path)
    words = capsys.readouterr().out.split()
    assert {"model.a.weight=1", "model.b.weight=2", "lr=0.01235"} <= set(words)
    assert rows_of(tmp_path)[0]["model.optimizer.lr"] == "0.0123456789"


def test_files_that_cannot_be_written_do_not_hide_the_table(tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(multirun_table, "write_runs", refuse)
    show([Run(tmp_path / "0", "finished", best=0.5)], tmp_path)
    out = capsys.readouterr().out
    assert "0.5" in out and "cannot be written there (No space left on device)" in out
