"""The benchmarks of sound sources and of InverSynth's task: what they measure, and that the pages show it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests import running

sys.path.insert(0, str(running.ROOT / "benchmarks"))
import inversynth
import sources
from conv6 import Conv6


def test_conv6_has_the_parameters_of_the_paper():
    network = Conv6(1, (257, 64))
    head = (network.feature_dim + 1) * 23 * 16
    assert round((sum(p.numel() for p in network.parameters()) + head) / 1e6, 1) == 1.2
    assert network(torch.zeros(2, 1, 257, 64)).shape == (2, 512)


@pytest.mark.parametrize("method", inversynth.METHODS)
def test_every_method_is_a_command_that_composes(method):
    config = running.composed("train", *method.words)
    assert config.synth.name == "inversynth" and len(config.synth.parameters) == 23


def test_the_rate_is_that_of_the_paper():
    level, true_level = np.array([[0, 15], [15, 7], [3, 7]]), np.array([[0, 0], [0, 0], [0, 7]])
    space = SimpleNamespace(names=("saw_note", "attack"))
    rates = inversynth.parameter_rates(SimpleNamespace(level=level, true_level=true_level, space=space))
    assert rates == pytest.approx({"saw_note": 100 * (1 - 18 / 45), "attack": 100 * (1 - 22 / 45)})
    assert inversynth.mean_rate(rates) == pytest.approx(60.0)


def test_the_speed_table_has_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "STORE", tmp_path / "sources.json")
    found = {"sample_rate": 8000, "duration": 1.0, "render": 0.0001, "analyse": 0.0003}
    sources.keep(sources.STORE, {"speed fm": found})
    assert sources.speed_table().splitlines()[2:] == ["| fm | 1 s, 8,000 Hz | 10,000 | 2,500 | 6.55 |"]


def test_the_table_of_what_is_learned_has_all_heads_and_their_mean(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "STORE", tmp_path / "sources.json")
    run = {"names": ["a", "b"], "parameters": 9836, "cpu_seconds": 40.0, "errors": [0.01, 0.03], "limits": [0.001, 0.0]}
    done = {f"synth=fm dataset.size=16384 seed={seed}": run | {"refined": [0.002, 0.0]} for seed in (0, 1)}
    sources.keep(sources.STORE, done | {"baselines fm": {"mean": [0.25, 0.25], "neighbours": [0.1, 0.2]}})
    heading, _, *lines = sources.learned_table().splitlines()
    assert heading == "| fm, 9,836 weights | mean | neighbours | network | refine=3 | image limit |"
    assert lines == [
        "| a | 25 | 10 | 1 | 0.2 | 0.1 |",
        "| b | 25 | 20 | 3 | 0 | 0 |",
        "| mean | 25 | 15 | 2 | 0.1 | 0.05 |",
        "",
        "2 seeds, 40 s of CPU time each.",
    ]


def test_the_page_shows_the_committed_results():
    text = (running.ROOT / "docs/results.md").read_text()
    for table in (sources.speed_table(), sources.learned_table(), inversynth.table()):
        assert table in text
