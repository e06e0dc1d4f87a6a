"""The CSV log: rows as they come, a header that grows, and a file that a resumed run goes on with."""

import csv

import pytest

from src.utils.metrics_csv import ResumableCSVLogger


@pytest.fixture
def logger(tmp_path):
    """Give new loggers of one file."""
    return lambda **options: ResumableCSVLogger(tmp_path, name="csv", version="", **options)


def rows(tmp_path):
    with (tmp_path / "csv/metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_each_row_is_on_the_disk_at_once_whatever_columns_come(tmp_path, logger):
    log, expected = logger(), []
    for step, metrics in enumerate([{"a": 1.5}, {"b": 2.0}, {"a": 0.1, "c": 1e-9}, {"a": 3.0}]):
        log.log_metrics(metrics, step)
        expected.append({key: str(value) for key, value in metrics.items()} | {"step": str(step)})
        assert rows(tmp_path) == expected


def test_a_new_run_begins_a_new_file(tmp_path, logger):
    logger().log_metrics({"a": 1.0}, 0)
    logger().log_metrics({"b": 2.0}, 0)
    assert rows(tmp_path) == [{"b": "2.0", "step": "0"}]


def test_a_resumed_run_keeps_what_came_before_its_step_and_writes_nothing_twice(tmp_path, logger):
    first = logger()
    for step in range(4):
        first.log_metrics({"a": step / 3, "b": 1.0}, step)
    second = logger(purge_step=2)
    for step in (1, 2):
        second.log_metrics({"a": step / 3, "b": 1.0}, step)
    second.log_metrics({"c": 7.0}, 2)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2", "2"] and rows(tmp_path)[-1]["c"] == "7.0"


def test_a_row_cut_short_by_a_full_disk_is_left_out(tmp_path, logger):
    logger().log_metrics({"a": 1.0, "b": 2.0}, 0)
    path = tmp_path / "csv/metrics.csv"
    path.write_text(path.read_text() + "5.0,")
    logger(purge_step=9).log_metrics({"a": 3.0, "b": 4.0}, 1)
    assert [row["a"] for row in rows(tmp_path)] == ["1.0", "3.0"]


def test_without_a_file_a_resumed_run_begins_one(tmp_path, logger):
    logger(purge_step=9).log_metrics({"a": 1.0}, 9)
    assert rows(tmp_path) == [{"a": "1.0", "step": "9"}]
