"""Debug presets: what they turn off comes back when it is asked for, and overfitting does overfit."""

import csv

import pytest

from tests import running

PRESETS = sorted(path.stem for path in (running.CONFIGS / "debug").glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_preset_turns_off_comes_back_when_it_is_asked_for(preset):
    plain = running.composed("train", f"debug={preset}", "paths.output_dir=x")
    assert not plain.logger and set(plain.callbacks) <= {"trace"} and plain.trainer.accelerator == "cpu"
    more = ("logger=csv", "callbacks=early_stopping", "trainer=gpu")
    given = running.composed("train", f"debug={preset}", "paths.output_dir=x", *more)
    assert list(given.logger) == ["csv"] and list(given.callbacks) == ["early_stopping"]
    assert given.trainer.accelerator == "gpu"
    assert {**plain.trainer, "accelerator": "gpu"} == dict(given.trainer)


def test_endless_data_cannot_be_overfitted(tmp_path, caplog):
    line = running.fault(caplog, "train", tmp_path / "data", tmp_path / "run", "debug=overfit", "data=vimh_online")
    assert line.startswith("trainer.overfit_batches: online data cannot")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You requested to overfit")
@pytest.mark.parametrize("model", ["cnn_micro", "vit_micro"])
def test_three_batches_are_learned_by_heart(model, data_root, tmp_path):
    running.run("train", data_root, tmp_path, "debug=overfit", f"model={model}", "logger=csv", whole=True)
    with (tmp_path / "csv/metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert losses[-1] < 0.05 * losses[0] < 0.05
