"""Tables of runs: that they hold what the runs recorded, fit 80 columns, and that no file stops them."""

import csv
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from src.run import table as runs_table
from src.run.lock import exclusive_run
from src.run.table import Run, find_runs, read_run, show_overview, write_runs
from src.utils.table import plain
from tests import running


def session(**changes):
    """Return a finished session as a run records it."""
    made = {
        "started": "2026-11-26T10:16:53.191+00:00",
        "ended": "2026-11-26T10:18:53.191+00:00",
        "outcome": "finished",
        "score": 0.0456789,
        "name": "first_try",
        "tags": ["moog", "test"],
        "data": {"name": "vimh-32x32x1_8000Hz_1p0s_512dss_moog_basic_4p", "synth": "moog_basic", "samples": 512},
        "model": "cnn_micro",
        "monitor": "val/nmae",
        "epochs": 50,
        "planned_epochs": 50,
    }
    return made | changes


def make_run(directory, *sessions, test=None):
    """Leave a run's files in a directory."""
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps({"sessions": list(sessions)}))
    if test is not None:
        (directory / "test_results.json").write_text(json.dumps({"metrics": {"test/nmae": test}}))
    return directory


@pytest.fixture
def drawn(capsys, monkeypatch):
    """Return the lines of the table of all runs."""

    def draw(runs, root, width=80):
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        show_overview(runs, root)
        return capsys.readouterr().out.splitlines()

    return draw


def test_a_row_holds_what_the_run_recorded(tmp_path, drawn):
    directory = make_run(tmp_path / "runs/a", session(outcome="interrupted"), session(), test=0.0512345)
    run = read_run(directory)
    assert run.state == "finished" and (run.name, run.tags) == ("first_try", ("moog", "test"))
    assert run.started == datetime(2026, 11, 26, 10, 16, 53, 191000, tzinfo=UTC) and run.seconds == 120
    text = "\n".join(drawn([run], tmp_path, width=120))
    for cell in ("first_try [moog, test]", "moog_basic 512", "cnn_micro", "50/50", "0.04568", "0.05123", "finished"):
        assert cell in text
    assert run.started.strftime("%Y-%m-%d") in text


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("finished", "finished"),
        ("interrupted", "interrupted"),
        ("failed: data: too few", "failed"),
        ("killed", "killed"),
        ("running", "killed"),
        ("something", "damaged"),
    ],
)
def test_a_state_follows_from_the_outcome(tmp_path, outcome, state):
    run = read_run(make_run(tmp_path / "a", session(outcome=outcome)))
    assert run.state == state and run.cause == ("data: too few" if state == "failed" else "")


def test_a_run_that_a_process_trains_in_is_running(tmp_path):
    directory = make_run(tmp_path / "a", session(outcome="running"))
    code = (
        "import sys, time; from pathlib import Path; from src.run.lock import exclusive_run\n"
        f"with exclusive_run(Path({str(directory)!r})): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=running.ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert read_run(directory).state == "running"
        process.kill()
    assert read_run(directory).state == "killed"
    with exclusive_run(directory):  # reading has not kept the lock
        pass


def test_the_newest_is_last_wherever_it_is(tmp_path, drawn):
    for at, place in enumerate(("sweeps/study/0", "runs/b", "multiruns/c/1", "runs/a")):
        make_run(tmp_path / place, session(started=f"2026-11-2{at}T10:00:00+00:00"))
    (tmp_path / "runs/a/checkpoints/deeper").mkdir(parents=True)
    found = find_runs(tmp_path)
    assert [str(run.directory.relative_to(tmp_path)) for run in found] == [
        *("sweeps/study/0", "runs/b", "multiruns/c/1", "runs/a")
    ]
    text = "\n".join(drawn([Run(run.directory, run.state) for run in found], tmp_path))
    assert "study/0" in text and "multirun/1" in text


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", "null", '{"sessions": 3}', '{"sessions": [3]}', '{"sessions": [{}]}', "[" * 100_000),
        *('{"sessions": [{"outcome": 3}]}', '{"sessions": {"outcome": "x"}}', "\x00\x01"),
    ],
    ids=range(12),
)
def test_a_damaged_record_is_a_row_that_says_so(tmp_path, content, drawn):
    directory = make_run(tmp_path / "runs/a")
    (directory / "run.json").write_text(content)
    (run,) = find_runs(tmp_path)
    assert run.state == "damaged" and "damaged" in "\n".join(drawn([run], tmp_path))


def test_files_that_are_no_files_and_directories_that_cannot_be_read_stop_nothing(tmp_path):
    make_run(tmp_path / "runs/good", session())
    (tmp_path / "runs/a/run.json").mkdir(parents=True)
    os.mkfifo(make_run(tmp_path / "runs/b", session()) / "test_results.json")
    (tmp_path / "runs/c").mkdir()
    os.mkfifo(tmp_path / "runs/c/run.json")
    (tmp_path / "runs/loop").symlink_to(tmp_path)
    (tmp_path / "runs/d").mkdir()
    (tmp_path / "runs/d/run.json").symlink_to("/dev/zero")
    (tmp_path / "runs/e").mkdir()
    (tmp_path / "runs/e/run.json").write_bytes(b"\xff\xfe{}")
    states = {run.directory.name: run.state for run in find_runs(tmp_path)}
    assert states == {"good": "finished", "b": "finished", "c": "damaged", "d": "damaged", "e": "damaged"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.dictionaries(st.sampled_from(sorted(session())), JSON), metrics=JSON)
def test_whatever_a_record_holds_a_table_of_80_columns_comes_out(tmp_path, values, metrics, drawn):
    directory = tmp_path / "runs/a"
    directory.mkdir(parents=True, exist_ok=True)
    record = {"sessions": [session() | values]}
    (directory / "run.json").write_text(json.dumps(record), errors="surrogatepass")
    (directory / "test_results.json").write_text(json.dumps({"metrics": metrics}))
    runs = find_runs(tmp_path)
    lines = drawn(runs, tmp_path)
    assert len(runs) == 1 and all(line.isprintable() for line in lines)
    assert max(Console().render_str(line, markup=False).cell_len for line in lines) <= 80
    write_runs(runs, tmp_path / "out")


@pytest.mark.parametrize("length", [1, 9, 30, 200, 20_000])
def test_no_number_is_cut_at_any_length_of_the_names(tmp_path, length, drawn):
    name = "x" * length
    data = {"name": name, "synth": "", "samples": 512}
    values = {"name": name, "tags": [name], "data": data, "model": name, "score": -1.234e-05, "epochs": 10000}
    directory = make_run(tmp_path / "runs/a", session(planned_epochs=10000, monitor=f"val/{name}", **values))
    lines = drawn([read_run(directory)], tmp_path)
    assert max(map(len, lines)) <= 80
    assert any("10000/10000  -1.234e-05" in line for line in lines)
    assert any(line.rstrip().endswith("finished") for line in lines)


@pytest.mark.parametrize(
    "name", ["gain[/]", "[red]x[/red]", ":bomb:", "a\x1b[2Jb", "naïve", "日本", "a\tb\nc", "\udcff"]
)
def test_names_are_shown_as_text(tmp_path, name, drawn):
    run = Run(tmp_path / "runs/a", "finished", name=name, metric="val/nmae", dataset=name, samples=name)
    text = "".join(drawn([run], tmp_path, width=200))
    assert plain(name) in text
    assert "\x1b" not in text
    text.encode()


def test_a_run_that_was_chosen_by_another_metric_says_so(tmp_path, drawn):
    usual = [read_run(make_run(tmp_path / f"runs/{at}", session())) for at in "abc"]
    other = read_run(make_run(tmp_path / "runs/d", session(monitor="val/cutoff_mae")))
    text = "\n".join(drawn([*usual, other], tmp_path, width=120))
    assert text.count("by val/cutoff_mae") == 1 and "best, test: val/nmae" in text


def test_files_hold_everything_in_full(tmp_path):
    runs = [
        Run(tmp_path / "a", "failed", cause="a|b\n<c>", name="n" * 1000, best=1 / 3, overrides={"lr": "0.1"}),
        Run(tmp_path / "b", "finished", best=0.1, test=0.2, overrides={"model": "cnn"}),
    ]
    csv_path, markdown_path = write_runs(runs, tmp_path / "runs")
    with csv_path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["n" * 1000, ""] and rows[0]["cause"] == "a|b\\n<c>"
    assert [float(row["best"]) for row in rows] == [1 / 3, 0.1] and [row["lr"] for row in rows] == ["0.1", ""]
    header, _, *lines = markdown_path.read_text().splitlines()
    assert len(lines) == 2 and {line.replace("\\|", "").count("|") for line in [header, *lines]} == {header.count("|")}
    assert "a\\|b" in lines[0] and "\\<c\\>" in lines[0]


def test_a_file_system_without_writing_shows_what_is_recorded(tmp_path, monkeypatch):
    def refuse(directory):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(runs_table, "is_in_use", refuse)
    assert read_run(make_run(tmp_path / "a", session(outcome="running"))).state == "running"
