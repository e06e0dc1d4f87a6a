"""Tables of models: which of them differ, against scipy, and what a table says of it."""

import argparse
import math
import sys

import numpy as np
import pytest
from scipy import stats

from tests import running

sys.path.insert(0, str(running.ROOT / "benchmarks"))
from compare_models import IN_README, all_markdown, baselines_key, is_done, key_of, readme_table, table_of
from differences import no_different, score
from readme import update_block


def run_of(error, width=1.0):
    """Return a run whose test sounds know its error to a factor of `width`; 1 is exactly."""
    sizes = {"parameters": 9786, "multiply_adds": 135000, "epoch_seconds": 2.5, "heads": {"a": error, "b": error / 2}}
    return {"nmae": error, "nmae_interval": [error / width, error * width], **sizes}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_models_differ_where_scipys_tukey_test_says_so(seed, seeds):
    rng = np.random.default_rng(seed)
    logs = {f"m{at}": rng.normal(-5 + 0.12 * at, 0.1, seeds) for at in range(6)}
    # errors whose arithmetic mean has the logarithm that Tukey's test compares differ by next to nothing
    scored, ratio = score({name: [run_of(math.exp(value)) for value in values] for name, values in logs.items()})
    theirs = stats.tukey_hsd(*logs.values()).pvalue
    names = list(logs)
    for one in scored:
        for other in scored:
            p = theirs[names.index(one.model), names.index(other.model)]
            if abs(p - 0.05) > 0.01:
                assert (1 / ratio < one.error / other.error < ratio) == (p > 0.05)


def test_few_test_sounds_make_models_harder_to_tell_apart():
    exact = {name: [run_of(error) for error in (0.01, 0.0101, 0.0099)] for name, error in (("a", 1), ("b", 1))}
    vague = {name: [run_of(one["nmae"], 1.1) for one in found] for name, found in exact.items()}
    assert score(vague)[1] > 1.1 > score(exact)[1] > 1
    (first, _), _ = score(vague)
    assert first.interval[0] < 100 * 0.01 / 1.1 and first.interval[1] > 100 * 0.01 * 1.1


def test_ranks_that_do_not_differ_are_a_range_around_each_model():
    runs = {name: [run_of(error)] * 3 for name, error in (("c", 0.03), ("a", 0.01), ("b", 0.012))}
    scored, _ = score(runs)
    assert [one.model for one in scored] == ["a", "b", "c"]
    assert no_different(scored, 1.5) == ["1 to 2", "1 to 2", "none"]
    assert no_different(scored, 4) == ["1 to 3"] * 3


ARGUMENTS = argparse.Namespace(
    models=["cnn_micro", "cnn_tiny", "mlp_68k"], synths=["simple_saw"], size=64, epochs=1, seeds=3, heads="regression"
)


def results(seeds=3, models=tuple(ARGUMENTS.models)):
    baseline = {"nmae": 0.25, "nmae_interval": [0.24, 0.26], "heads": {"a": 0.25, "b": 0.25}}
    done = {baselines_key("simple_saw", 64): {"5 nearest neighbours, weighted by 1 / distance": baseline}}
    for at, model in enumerate(models):
        for seed in range(seeds):
            error = 0.01 * (1.05, 1.0, 3.0)[at] * (1 + 0.02 * seed)
            done[key_of(model, "simple_saw", 64, 1, seed, "regression")] = run_of(error, 1.05)
    return done


def test_a_table_says_which_models_do_not_differ_and_how_neighbours_are_weighted():
    columns, rows, note = table_of(ARGUMENTS, results(), "simple_saw")
    same = [one.heading for one in columns].index("does not differ from ranks")
    assert [(row[0], row[1], row[same]) for row in rows] == [
        ("5 nearest neighbours, weighted by 1 / distance", "", ""),
        ("cnn_tiny", "1", "1 to 2"),
        ("cnn_micro", "2", "1 to 2"),
        ("mlp_68k", "3", "none"),
    ]
    assert note.startswith("3 seeds. Models whose errors have a ratio below 1.") and "do not differ" in note
    text = all_markdown(ARGUMENTS, results())
    assert note in text and "| cnn_tiny | 1 | 1.02 |" in text


def test_the_readmes_table_has_two_baselines_and_three_networks():
    chosen = argparse.Namespace(**vars(ARGUMENTS) | {"models": list(IN_README)})
    done = results(models=IN_README)
    done[baselines_key("simple_saw", 64)]["mean baseline"] = run_of(0.3, 1.1)
    *lines, _, note = readme_table(chosen, done).splitlines()
    assert note == "In brackets: 95 % interval, over 3 seeds and the test sounds."
    assert lines[2:4] == ["| mean baseline |  | 30 (27..33) |", "| nearest neighbours |  | 25 (24..26) |"]
    assert [line.split()[1] for line in lines[4:]] == list(IN_README)
    assert "| 9,786 | 1.0" in lines[4]


def test_a_single_seed_tests_nothing_and_older_results_without_intervals_are_run_again():
    one = argparse.Namespace(**vars(ARGUMENTS) | {"seeds": 1})
    _, rows, note = table_of(one, results(), "simple_saw")
    assert "differences are not tested" in note and {row[4] for row in rows} == {""}
    done = results()
    key = key_of("cnn_micro", "simple_saw", 64, 1, 0, "regression")
    assert is_done(done, key)
    del done[key]["nmae_interval"]
    assert not is_done(done, key) and not is_done(done, "another")


def test_a_block_is_replaced_on_the_page_that_has_it(tmp_path):
    (tmp_path / "docs/more").mkdir(parents=True)
    (tmp_path / "README.md").write_text("nothing\n")
    page = tmp_path / "docs/more/results.md"
    page.write_text("before\n<!-- models -->\nold\n<!-- /models -->\nafter\n")
    update_block("models", "| new |", tmp_path)
    assert page.read_text() == "before\n<!-- models -->\n| new |\n<!-- /models -->\nafter\n"
    assert (tmp_path / "README.md").read_text() == "nothing\n"
    with pytest.raises(ValueError, match=r"has the marker <!-- others -->$"):
        update_block("others", "", tmp_path)
