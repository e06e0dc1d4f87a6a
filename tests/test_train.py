"""Training in short: one batch of each stage, and a run whose figures are honest."""

import json
import math

import pytest
import torch

from tests import running


def test_one_batch_of_each_stage_runs(data_root, saw, tmp_path):
    score = running.run("train", data_root, tmp_path, "debug=fdr")
    assert math.isfinite(score)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_run_leaves_checkpoints_logs_and_results(trained):
    left = {str(path.relative_to(trained.output)) for path in trained.output.rglob("*") if path.is_file()}
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "csv/metrics.csv", "csv/hparams.yaml"} <= left
    assert any(path.startswith("tensorboard/events") for path in left)
    results = json.loads((trained.output / "test_results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["note_velocity", "log10_decay_time"]
    assert results["num_samples"] == 13
    for row in results["rows"]:
        assert row["mae"] > 0 and row["baseline"] > 0 and 0 <= row["accuracy"] <= row["within_one_step"]


@pytest.mark.long
def test_the_same_seed_trains_the_same_weights_and_another_does_not(data_root, saw, trained, tmp_path):
    def weights_of(name, *overrides):
        running.run("train", data_root, tmp_path / name, "logger=none", "trainer.max_epochs=4", *overrides)
        return torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]

    first = torch.load(trained.output / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    same, other = weights_of("same"), weights_of("other", "seed=1")
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert not any(torch.equal(value, other[name]) for name, value in first.items() if name.endswith(".weight"))
