"""What the experiments' headers claim is what was measured, and every head learns what its image determines."""

import json
import sys

import pytest

from tests import running

sys.path.insert(0, str(running.ROOT / "benchmarks"))
import experiments as benchmark
from experiments import UNDETERMINED, composed, digest, named_experiments, sentence, too_large, with_figures

MEASURED = json.loads((running.ROOT / "benchmarks/results.json").read_text()).get("experiments", {})
HEAD = {"mae": 0.1, "baseline": 0.5, "unit": "Hz"}
FIGURES = {"parameters": 1234567, "cpu_seconds": 61.7, "synth": "simple_saw", "heads": {"a": HEAD}}


@pytest.mark.parametrize("experiment", named_experiments())
def test_a_header_has_the_figures_of_the_results_or_says_that_there_are_none(experiment):
    text = (running.CONFIGS / f"experiment/{experiment}.yaml").read_text()
    header = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    if experiment not in MEASURED:
        assert "not measured yet" in header
        return
    assert sentence(MEASURED[experiment]) in header
    assert with_figures(text, MEASURED[experiment]) == text


def test_no_measured_head_ends_above_half_of_the_mean_baselines_error():
    assert list(too_large(MEASURED)) == []


def test_nothing_is_measured_that_is_no_experiment():
    assert set(MEASURED) <= set(named_experiments())


@pytest.mark.parametrize("experiment", named_experiments())
def test_every_header_has_a_place_for_figures_and_nothing_else_changes(experiment):
    text = (running.CONFIGS / f"experiment/{experiment}.yaml").read_text()
    new = with_figures(text, FIGURES)
    line = "# 1,234,567 parameters, 62 s of CPU time. Test MAE, and relative to the mean baseline: a 0.1 Hz (20.0 %)."
    assert line in new.splitlines()
    kept = [one for one in new.splitlines() if one != line]
    assert kept == [one for one in text.splitlines() if one in kept] and "defaults:" in kept
    assert with_figures(new, FIGURES) == new


def test_a_header_without_figures_is_told():
    with pytest.raises(ValueError, match="no line of results"):
        with_figures("# @package _global_\n# It trains.\n", {"parameters": 1, "cpu_seconds": 1, "heads": {}})


def test_a_long_sentence_is_wrapped_and_its_numbers_are_whole():
    heads = {f"filter_env_{name}": HEAD | {"mae": 0.123} for name in ("attack", "decay", "sustain", "release")}
    text = with_figures("# 1 parameters, not measured yet.\ndefaults:\n", FIGURES | {"heads": heads})
    assert max(map(len, text.splitlines())) <= 114 and text.count("0.123 Hz") + text.count("0.123\n# Hz") == 4


@pytest.mark.parametrize(("mae", "synth", "count"), [(0.5, "simple_saw", 0), (0.51, "simple_saw", 1),
                                                     (float("nan"), "simple_saw", 1),
                                                     (9.0, "simple_saw_classic", 0)])  # fmt: skip
def test_heads_above_half_of_the_mean_baseline_are_listed(mae, synth, count):
    heads = {"note_velocity": {"mae": mae, "baseline": 1.0, "unit": ""}, "log10_decay_time": HEAD}
    found = list(too_large({"mine": FIGURES | {"synth": synth, "heads": heads}}))
    assert len(found) == count and all(line.startswith("mine: note_velocity ") for line in found)


def test_every_undetermined_head_has_a_reason():
    assert all(reason for reason in UNDETERMINED.values())
    synths = {path.stem for path in (running.CONFIGS / "synth").glob("*.yaml")}
    assert {synth for synth, _ in UNDETERMINED} <= synths


@pytest.mark.long
def test_another_config_has_another_digest_and_places_do_not_matter():
    one, other = composed("example"), composed("moog_basic")
    assert digest(one) == digest(composed("example")) != digest(other)
    assert str(running.ROOT) not in json.dumps(one)
    assert one["dataset"]["size"] == 16384 and other["synth"]["name"] == "moog_basic"


def test_experiments_run_in_parallel_and_go_on_where_they_stopped(tmp_path, monkeypatch, capsys):
    """The second of three fails at first; what is measured is kept at once and not measured again."""
    names = ["example", "moog_basic", "vimh_cnn"]
    for name in names:
        source = running.CONFIGS / f"experiment/{name}.yaml"
        (tmp_path / "configs/experiment").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"configs/experiment/{name}.yaml").write_text(source.read_text())
    store = tmp_path / "results.json"
    store.write_text(json.dumps({"speed": 1, "experiments": {}}))
    measured, failing = [], {"moog_basic"}

    def measure(name, config, *_):
        measured.append(name)
        if name in failing:
            raise RuntimeError("killed")
        return FIGURES | {"config": digest(config)}

    configs = {name: {"named": name} for name in names}
    monkeypatch.setattr(benchmark, "ROOT", tmp_path)
    monkeypatch.setattr(benchmark, "STORE", store)
    monkeypatch.setattr(benchmark, "composed", configs.__getitem__)
    monkeypatch.setattr(benchmark, "make_data", lambda *_: None)
    monkeypatch.setattr(benchmark, "measure", measure)
    monkeypatch.setattr(benchmark, "named_experiments", lambda: names)

    def run(*arguments):
        measured.clear()
        monkeypatch.setattr(sys, "argv", ["experiments.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            benchmark.main()
        return bool(ended.value.code), sorted(measured), capsys.readouterr()

    failed, done, output = run("--jobs", "2")
    assert failed and done == names and "moog_basic: killed" in output.err
    results = json.loads(store.read_text())
    assert set(results["experiments"]) == {"example", "vimh_cnn"} and results["speed"] == 1
    assert "1,234,567 parameters" in (tmp_path / "configs/experiment/example.yaml").read_text()
    failing.clear()
    assert run()[:2] == (False, ["moog_basic"])
    configs["example"] = {"named": "changed"}
    assert run()[:2] == (False, ["example"])
    assert run("vimh_cnn", "--again")[:2] == (False, ["vimh_cnn"])
    failed, done, output = run()
    assert done == [] and "every head's error is at most 50 %" in output.out
