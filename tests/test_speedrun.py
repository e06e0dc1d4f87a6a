"""The table of what makes training reach its accuracy sooner: its rows exist, and the page shows what was measured."""

import json
import re
import sys

import pytest

from tests import running

sys.path.insert(0, str(running.ROOT / "benchmarks"))
import speedrun
from speedrun import HEADS, RACE, ROWS, Row, key_of, run_one, table

RESULT = {
    "cpu_seconds": 10.4,
    "wall_seconds": 12.0,
    "val_nmae": 0.01,
    "heads": {name: 0.1 * (at + 1) for at, name in enumerate(HEADS)},
}


def test_rows_differ_and_the_winner_is_an_experiment():
    assert len({row.overrides for row in ROWS + RACE}) == len(ROWS + RACE)
    assert all(row.verdict for row in ROWS)
    fast = running.composed("train", *RACE[1].overrides)
    present = running.composed("train", *RACE[0].overrides)
    assert fast.dataset == present.dataset and fast.synth == present.synth and fast.seed == present.seed


def test_a_table_has_means_over_the_finished_seeds(tmp_path, monkeypatch):
    rows = (Row("one", ("a=1",), "kept"), Row("two", ("a=2",)))
    results = {key_of(rows[0], seed, "here"): RESULT | {"val_nmae": 0.01 * (1 + seed)} for seed in (0, 2)}
    results |= {key_of(rows[1], 0, "elsewhere"): RESULT}
    monkeypatch.setattr(speedrun, "STORE", tmp_path / "speedrun.json")
    speedrun.STORE.write_text(json.dumps(results))
    heading, _, *lines = table(rows, "here").splitlines()
    assert heading.split(" | ")[2:6] == list(HEADS)
    assert lines == ["| one | 2.00 (1.00..3.00) | 10 % | 20 % | 30 % | 40 % | 10 | 12 | 2 | kept |"]


@pytest.mark.parametrize(("name", "rows"), [("speedrun", ROWS), ("race", RACE)])
def test_the_page_shows_the_results(name, rows):
    page = (running.ROOT / "docs/results.md").read_text()
    shown = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", page, re.DOTALL)[1]
    machines = {key.rpartition(" on ")[2] for key in json.loads(speedrun.STORE.read_text())}
    assert shown in {table(rows, machine) for machine in machines}
    assert len(shown.splitlines()) == 2 + len(rows)


@pytest.mark.slow
def test_a_run_measures_times_and_errors(tmp_path, data_root):
    tiny = ("synth=moog_basic", "dataset.size=128", "trainer.max_epochs=1", "logger=csv")
    found = run_one(Row("tiny", tiny), 1, [0], data_root, tmp_path / "run")
    assert set(found["heads"]) == set(HEADS) and found["val_nmae"] > 0
    assert 0 < found["cpu_seconds"] < 1.2 * found["wall_seconds"]  # one core
    with pytest.raises(RuntimeError, match="no_such_key"):
        run_one(Row("wrong", ("no_such_key=1",)), 1, [0], data_root, tmp_path / "wrong")
