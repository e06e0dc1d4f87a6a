"""The page of a comparison holds the predictions of all runs, and what NumPy computes from them."""

from dataclasses import replace

import numpy as np
import pytest

from src.evaluation.predictions_file import read_predictions_file
from src.evaluation.reports.comparison import panels
from src.evaluation.reports.comparison.comparison import MethodFacts, compare, sound_errors
from src.evaluation.reports.comparison.page import write_page
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests.evaluation.reports.made import MARKUP, SPACE, make_methods
from tests.evaluation.reports.test_write import array, data_of

COUNT = 200
NAMES = ("first", "second", "third")


def facts_of(methods, **changes):
    known = {"num_parameters": 100, "training_seconds": 2.0, "latency_ms": None} | changes
    return {name: MethodFacts((name,) * len(runs), (1,) * len(runs), **known) for name, runs in methods.items()}


def page_of(methods, directory, dataset=None, notes=()):
    return write_page(compare(methods), facts_of(methods), notes, methods, [], directory, dataset)


def test_a_page_holds_the_values_of_each_run(tmp_path):
    methods = make_methods(COUNT, NAMES[:2], runs=3)
    data = data_of(page_of(methods, tmp_path))
    assert data["methods"] == [{"name": "first", "runs": 3}, {"name": "second", "runs": 3}]
    values = array(data["predictions"]["value"], "<f4").reshape(6, len(SPACE), COUNT)
    expected = [run.value.T for runs in methods.values() for run in runs]
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(array(data["predictions"]["truth"], "<f4"), methods["first"][0].truth.T.ravel())
    assert data["ids"] is None and "mean_baseline" not in data


def test_names_are_escaped_and_the_verdict_is_on_top(tmp_path):
    text = page_of(make_methods(COUNT, (MARKUP, "b")), tmp_path, notes=["<b>"]).read_text()
    assert MARKUP not in text and "<p>&lt;b&gt;</p>" in text
    assert "These are two checkpoints, not two methods" in text.partition("</header>")[0]
    assert "No images and no sounds" in text


@pytest.mark.parametrize("at", range(len(SPACE)))
def test_errors_by_value_are_means_of_parts_of_the_range(at):
    methods = make_methods(COUNT, NAMES)
    errors, run, spec = panels.method_errors(methods), methods["first"][0], SPACE.varying[at]
    rows = panels.errors_by_value(run, errors, at)
    assert sum(row["count"] for row in rows) == COUNT
    for name, mean in zip(
        NAMES, np.average([row["errors"] for row in rows], 0, [r["count"] for r in rows]), strict=True
    ):
        np.testing.assert_allclose(mean, sound_errors(methods[name][0])[:, at].mean())
    if spec.kind == "ordinal":
        last = sound_errors(run)[run.truth[:, at] == rows[-1]["at"], at]  # a part is one of the classes
        np.testing.assert_allclose(rows[-1]["errors"][0], last.mean())


def test_examples_have_the_most_different_errors():
    methods = make_methods(COUNT, NAMES[:2])
    errors = panels.method_errors(methods)
    difference = errors["second"] - errors["first"]
    rows = {why: row for row, why in panels.example_rows(compare(methods), errors).items()}
    found = {part: row for why, row in rows.items() for part in why.split(", ")}
    assert found["second better"] == difference[:, -1].argmin() and found["first better"] == difference[:, -1].argmax()
    assert found["largest difference of octave"] == np.abs(difference[:, 3]).argmax()


def test_a_sample_of_a_large_split_is_random_has_the_examples_and_does_not_vary(monkeypatch):
    methods = make_methods(COUNT, NAMES[:2])
    assert panels.rows_in_page(methods, []).tolist() == list(range(COUNT))
    monkeypatch.setattr(panels, "MOST_VALUES", 50 * 3 * len(SPACE))
    rows = panels.rows_in_page(methods, [0, 199])
    assert {0, 199} <= set(rows.tolist()) and 50 <= len(rows) <= 52 and (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, panels.rows_in_page(methods, [0, 199]))


def test_differences_and_costs_are_those_of_the_comparison():
    methods = make_methods(COUNT, NAMES)
    comparison = compare(methods)
    figures = panels.forest(comparison)
    assert [len(figure["rows"]) for figure in figures] == [3] * 5
    assert figures[0]["rows"][0]["pair"] == "second - first"
    assert figures[0]["rows"][0]["difference"] == comparison.of_pair("first", "second")[0].difference
    facts = facts_of(methods)
    facts["third"] = replace(facts["third"], training_seconds=None, latency_ms=1.0)
    shown = panels.costs(comparison, facts)
    assert [(figure["title"], len(figure["points"])) for figure in shown] == [("parameters", 3), ("training, s", 2)]


def test_with_the_dataset_there_are_images_sounds_and_neighbours(trained, saw, tmp_path):
    one = read_predictions_file(trained.output / "predictions.npz")
    methods = {"trained": [one], "closer": [replace(one, value=(one.value + one.truth) / 2)]}
    page = page_of(methods, tmp_path, saw)
    data = data_of(page)
    assert data["thumbnails"]["url"].startswith("data:image/webp;base64,")
    for example in data["examples"]:
        assert set(example["images"]) == set(example["sounds"]) == {"true", "method-0", "method-1"}
    assert "nearest neighbour" in page.read_text() and "No images" not in page.read_text()


def test_the_baseline_is_heard_however_many_methods_there_are(trained, saw, tmp_path):
    one = read_predictions_file(trained.output / "predictions.npz")
    methods = {name: [one] for name in "abcdef"}
    page = write_page(compare(methods, "f"), facts_of(methods), [], methods, [], tmp_path, saw)
    expected = {"true", *(f"method-{at}" for at in (5, 0, 1, 2))}
    assert set(data_of(page)["examples"][0]["sounds"]) == expected and data_of(page)["pair"] == [5, 0]


def test_another_dataset_is_not_shown(saw, tmp_path):
    page = page_of(make_methods(13, NAMES), tmp_path, saw)
    assert "test split is not that of these predictions" in page.read_text()
    assert data_of(page)["thumbnails"] is None


def test_a_damaged_dataset_is_named_and_the_page_written(tmp_path):
    (tmp_path / "vimh_dataset_info.json").write_text("{")
    page = page_of(make_methods(13, NAMES), tmp_path / "out", tmp_path)
    assert "No images and no sounds:" in page.read_text() and "not JSON" in page.read_text()


@pytest.mark.long
def test_ten_runs_of_ten_parameters_and_sixteen_thousand_sounds_stay_small(tmp_path):
    space = ParameterSpace([ParameterSpec(name=f"parameter_{at}", min=0, max=1) for at in range(10)])
    page = page_of(make_methods(16_384, [f"network_{at}" for at in range(10)], space), tmp_path)
    assert page.stat().st_size < 6_000_000  # images and sounds are a further 1 to 2 MB
    assert "a random sample, 9,0" in page.read_text()
