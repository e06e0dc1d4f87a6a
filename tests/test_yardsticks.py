"""The yardsticks: commands that compose, power laws that are found again, tables of what was measured."""

import json
import sys

import numpy as np
import pytest

from tests import running

sys.path.insert(0, str(running.ROOT / "benchmarks"))
import leaderboard
import loss_table
import scaling
from leaderboard import NETWORKS, Entry

NAMES = ["first", "second"]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_row_is_a_command_that_composes(network):
    config = running.composed("train", *Entry("moog_envelope", 16384, network).overrides)
    assert config.synth.name == "moog_envelope" and config.dataset.size == 16384
    assert config.trainer.max_epochs == 80 * NETWORKS[network].longer


def test_the_leaderboard_has_means_over_seeds_and_multiples_of_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(leaderboard, "STORE", tmp_path / "leaderboard.json")
    entry = Entry("moog_basic", 16384, "frames_7k")
    runs = {
        entry.key(seed): {
            "cpu_seconds": 50.0 + seed,
            "names": NAMES,
            "parameters": 7088,
            "errors": [0.01 + 0.001 * seed, 0.002],
            "limits": [0.005, 0.0004],
            "refined": [0.006, 0.0005],
        }
        for seed in (0, 2)
    }
    runs[leaderboard.baselines_key("moog_basic", 16384)] = {"mean": [0.25, 0.25], "neighbours": [0.1, 0.2]}
    leaderboard.keep(leaderboard.STORE, runs)
    heading, _, *lines = leaderboard.table("moog_basic", 16384).splitlines()[2:]
    assert heading.startswith("| moog_basic, 16,384 clips | parameters |")
    assert lines == [
        "| frames_7k | 7,088 | 0.65 ± 0.07 | 1.1, 0.2 | 2.2, 5.0 | 0.6, 0.05 | 51 | 2 |",
        "| mean of the training labels |  | 25 | 25, 25 |  |  |  |  |",
        "| nearest neighbours |  | 15 | 10, 20 |  |  |  |  |",
        "| image limit |  | 0.27 | 0.5, 0.04 |  |  |  |  |",
    ]


@pytest.mark.parametrize(("floor", "factor", "exponent"), [(0.3, 8.0, 0.6), (0.01, 2.0, 0.35), (5.0, 11.0, 0.9)])
def test_a_power_law_with_a_floor_is_found_again(floor, factor, exponent):
    x = np.array([1e3, 4e3, 16e3, 64e3, 256e3, 1e6])
    errors = floor + factor * (x / 1e3) ** -exponent
    np.testing.assert_allclose(scaling.fit(x, errors), [floor, factor, exponent], rtol=2e-3)
    scattered = errors[:, None] * np.exp(0.03 * np.random.default_rng(0).standard_normal((6, 3)))
    found, low, high = scaling.exponents(x, scattered)
    assert low < exponent < high and low <= found <= high and high - low < 0.3


def test_curves_have_the_seeds_that_all_their_points_have():
    done = {}
    for seed in (0, 1):
        for point in scaling.points():
            error = 0.01 + 0.1 * (point.clips or 2**21) ** -0.5 * (1 + 0.01 * seed)
            done[point.key(seed)] = {"nmae": error, "parameters": 100 * (1 + scaling.NETWORKS.index(point.network))}
    del done[scaling.points()[0].key(1)]
    found = scaling.curves(done)
    assert [(curve.synth, curve.what, curve.errors.shape) for curve in found] == [
        ("moog_basic", "sounds", (6, 1)),
        ("moog_basic", "parameters", (4, 2)),
        ("moog_envelope", "sounds", (6, 2)),
        ("moog_envelope", "parameters", (4, 2)),
    ]
    table = scaling.table(found)
    assert table.count("moog_basic") == 2 and "1,048,576 | each new | exponent" in table and "| 1.01 | 1.01 |" in table
    assert len(scaling.draw(found).axes) == 2


def test_every_head_and_loss_of_the_table_can_be_built():
    pairs = loss_table.combinations()
    assert len(set(pairs)) == len(pairs) > 20
    for kind, loss in (("gaussian", "gaussian_crps"), ("classification", "focal"), ("regression", "l1")):
        assert (kind, loss) in pairs
        assert loss_table.model_config(kind, loss)["heads"]["default"]["loss"] == loss


def test_the_loss_table_leaves_out_what_one_synth_lacks_and_begins_with_the_best():
    done = {}
    for synth in loss_table.SYNTHS:
        for kind, loss, error in (("coral", "coral", 0.02), ("corn", "corn", 0.01)):
            for seed in range(3):
                done[loss_table.key_of(synth, kind, loss, seed)] = {"nmae": error + 0.001 * seed, "accuracy": 0.5}
    done[loss_table.key_of("simple_saw", "mixture", "mixture_nll", 0)] = {"nmae": 0.001, "accuracy": 0.9}
    lines = loss_table.table(done).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| corn", "| coral"]
    assert lines[0].endswith("| 1.1 ± 0.1 | 50.0 | 1.1 ± 0.1 | 50.0 | 3 |")


def test_the_pages_show_the_committed_results():
    text = (running.ROOT / "docs/results.md").read_text()
    kept = json.loads((running.ROOT / "benchmarks/leaderboard.json").read_text())
    for synth, clips in {(key.split()[1], key.split()[2]) for key in kept if key.startswith("baselines")}:
        assert leaderboard.table(synth, int(clips)) in text
    assert loss_table.table(json.loads(loss_table.STORE.read_text())) in text
