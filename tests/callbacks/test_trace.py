"""The traces that a run leaves, read back as the viewers read them."""

import json
import logging

import pytest

from tests import running

TRACE = ("callbacks=trace", "logger=none")


def steps_of(output):
    events = json.loads((output / "trace/rank0.pt.trace.json").read_text())["traceEvents"]
    assert any(event.get("name") == "aten::convolution" for event in events)
    return sorted({event["name"] for event in events if event.get("name", "").startswith("ProfilerStep#")})


def test_a_trace_holds_the_steps_asked_for(data_root, saw, tmp_path):
    running.run("train", data_root, tmp_path, *TRACE, "callbacks.trace.skip=2", "callbacks.trace.steps=3")
    assert steps_of(tmp_path) == ["ProfilerStep#2", "ProfilerStep#3", "ProfilerStep#4"]
    table = (tmp_path / "trace/rank0.txt").read_text()
    assert "aten::" in table and "Self CPU" in table


def test_a_run_shorter_than_what_is_skipped_says_so(data_root, saw, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        running.run("train", data_root, tmp_path, *TRACE, "callbacks.trace.skip=10")
    assert any("lower callbacks.trace.skip" in record.getMessage() for record in caplog.records)
    assert not (tmp_path / "trace").exists()


def test_ctrl_c_leaves_the_steps_until_then(data_root, saw, tmp_path):
    stop = ("+callbacks.stop._target_=tests.end_to_end.callbacks.Interrupt", "+callbacks.stop.epoch=1")
    with pytest.raises(SystemExit):
        running.run("train", data_root, tmp_path, *TRACE, "callbacks.trace.skip=1", *stop, "+callbacks.stop.batch=1")
    assert "ProfilerStep#1" in steps_of(tmp_path)
