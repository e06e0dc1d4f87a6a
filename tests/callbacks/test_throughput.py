"""Rates of an epoch by a clock that the test turns."""

import csv
from types import SimpleNamespace

import pytest
import torch

from src.callbacks import throughput
from tests import running


class Clock:
    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


def test_validation_is_not_counted_and_every_process_is(monkeypatch):
    clock, logged = Clock(), {}
    monkeypatch.setattr(throughput, "time", clock)
    trainer = SimpleNamespace(world_size=2, sanity_checking=False)
    module = SimpleNamespace(device=torch.device("cpu"), log_dict=lambda values, **_: logged.update(values))
    callback = throughput.Throughput()
    for _ in range(2):  # the second epoch knows nothing of the first
        callback.on_train_epoch_start(trainer, module)
        for size in (32, 32, 16):
            clock.now += 0.5
            callback.on_train_batch_end(trainer, module, None, {"image": torch.zeros(size, 1, 2, 2)}, 0)
        callback.on_validation_start(trainer, module)
        clock.now += 100.0
        callback.on_validation_end(trainer, module)
        clock.now += 0.5
        callback.on_train_epoch_end(trainer, module)
        assert logged == {
            "throughput/samples_per_second": pytest.approx(2 * 80 / 2.0),
            "throughput/batches_per_second": pytest.approx(3 / 2.0),
        }


def test_each_epoch_of_a_run_has_its_rates(data_root, saw, tmp_path):
    running.run("train", data_root, tmp_path, "callbacks=[default,throughput,learning_rate_monitor]", "logger=csv")
    with (tmp_path / "csv/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    rates = [row for row in rows if row["throughput/samples_per_second"]]
    assert len(rates) == 2
    for row in rates:
        batches = float(row["throughput/batches_per_second"])
        assert batches > 0 and float(row["throughput/samples_per_second"]) == pytest.approx(32 * batches, rel=1e-4)
    assert sum(bool(row["lr-AdamW/pg1"]) for row in rows) == 2
