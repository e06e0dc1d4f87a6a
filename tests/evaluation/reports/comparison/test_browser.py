"""A comparison's page in a browser: it asks for nothing, shows what NumPy computes, and links what it shows."""

from dataclasses import replace

import numpy as np
import pytest

from src.evaluation.predictions_file import read_predictions_file
from src.evaluation.reports.comparison.comparison import MethodFacts, compare
from src.evaluation.reports.comparison.page import write_page
from src.evaluation.reports.comparison.panels import method_errors
from src.evaluation.reports.comparison.tables import pair_table
from src.parameters.space import ParameterSpace
from tests.evaluation.reports.browser import AXE, needs_browser
from tests.evaluation.reports.made import MARKUP, SPACE, make_methods

pytestmark = [needs_browser, pytest.mark.long]
COUNT = 300
NAMES = ("<b>first</b>", "second & other", "third")
CURVE = {"method": 0, "name": NAMES[0], "metric": "val/nmae", "points": [(1, 0.5), (2, 0.25), (3, 0.3)], "chosen": 2}


def page_of(methods, directory, dataset=None):
    """Write the page of a comparison."""
    facts = {}
    for at, (name, runs) in enumerate(methods.items()):
        facts[name] = MethodFacts((f"logs/{name}",), (1,) * len(runs), 1000 * 10**at, 60.0 + at, 1.0 + at)
    return write_page(compare(methods), facts, ["A <i>note</i>."], methods, [CURVE], directory, dataset)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The page of three methods, and their predictions."""
    methods = make_methods(COUNT, NAMES)
    return page_of(methods, tmp_path_factory.mktemp("made")), methods


@pytest.fixture(scope="module")
def whole(trained, saw, tmp_path_factory):
    """A page with images and sounds of two methods."""
    one = read_predictions_file(trained.output / "predictions.npz")
    other = replace(one, value=(one.value + one.truth) / 2)
    return page_of({"trained": [one], "closer": [other]}, tmp_path_factory.mktemp("whole"), saw)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["whole", "made"])
def test_it_fits_the_screen_and_axe_finds_nothing(opened, request, name, scheme, width):
    path = request.getfixturevalue(name)
    one = opened(path if name == "whole" else path[0], scheme=scheme, width=width, bypass_csp=bool(AXE))
    assert one.page.evaluate("document.documentElement.scrollWidth") == width
    one.unfold()
    assert one.page.evaluate("document.querySelectorAll('*').length") < 4000
    if AXE:
        assert one.violations(AXE) == []


def test_names_are_text(opened, made):
    one = opened(made[0])
    one.unfold()
    text = one.page.inner_text("body")
    for name in (*NAMES, MARKUP, "<b>dB</b>", "<i>sine", "A <i>note</i>."):
        assert name in text, name
    assert one.page.locator("img, i:not(.bar i), b:not(.checks b)").count() == 0


@pytest.mark.parametrize("pair", [(0, 1), (2, 0)])
@pytest.mark.parametrize(
    ("quantity", "low", "high"),
    [
        ("B - A, error of cutoff, Hz", -100, 20),
        ("A, error of wave, % wrong", 100, 100),
        ("B - A, error of all parameters, % of range", 0, 5),
    ],
)
def test_the_filter_counts_what_numpy_counts(opened, made, pair, quantity, low, high):
    path, methods = made
    a, b = (list(method_errors(methods).values())[at] for at in pair)
    values = {
        "B - A, error of cutoff, Hz": (b - a)[:, 0],
        "A, error of wave, % wrong": a[:, 2],
        "B - A, error of all parameters, % of range": (b - a)[:, -1],
    }[quantity]
    expected = np.flatnonzero((values >= low) & (values <= high))
    one = opened(path)
    one.page.select_option("select[name=a]", str(pair[0]))
    one.page.select_option("select[name=b]", str(pair[1]))
    one.page.select_option("select[name=quantity]", label=quantity)
    one.page.fill("input[name=low]", str(low))
    one.page.fill("input[name=high]", str(high))
    assert one.page.inner_text("#count") == f"{len(expected)} of {COUNT} sounds"
    one.page.select_option("select[name=order]", label=quantity)
    shown = [int(row) for row in one.page.eval_on_selector_all("#found button", "all => all.map(b => b.dataset.row)")]
    ordered = expected[np.argsort(-values[expected], kind="stable")]
    assert shown == ordered[: len(shown)].tolist() and len(shown) == min(24, len(expected))


def test_another_pair_is_filtered_again(opened, made):
    path, methods = made
    first, _, third = method_errors(methods).values()
    one = opened(path)
    one.page.fill("input[name=low]", "0")
    one.page.select_option("select[name=b]", "2")
    expected = ((third - first)[:, -1] >= 0).sum()
    assert one.page.inner_text("#count") == f"{expected} of {COUNT} sounds"
    again = opened(path, address=one.page.url.partition("html")[2])  # the pair is in the address
    assert again.page.input_value("select[name=b]") == "2" and again.page.evaluate("pair") == {"a": 0, "b": 2}
    none = opened(path, address="#a=0&b=17")
    assert none.page.evaluate("pair") == {"a": 0, "b": 1}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pixel_under_a_sample_has_its_colour(opened, made, scheme):
    path, methods = made
    first, second, _ = method_errors(methods).values()
    order = np.argsort(first[:, 0] * second[:, 0])
    row, other = int(order[COUNT // 2]), int(order[-1])
    one = opened(path, scheme=scheme, address=f"#sample={row}")
    one.page.locator("#head-0").scroll_into_view_if_needed()
    one.settle()
    colours, versus = one.page.evaluate("colours"), 'document.querySelectorAll("#head-0 canvas")[0]'
    for which, colour in ((row, "selected"), (other, "point")):
        assert one.pixel(versus, f"errorOf(0, 0, {which})", f"errorOf(1, 0, {which})") == colours[colour]
    by_value = 'document.querySelectorAll("#head-0 canvas")[1]'
    assert one.pixel(by_value, f"samples.truth[0][{row}]", f"errorOf(2, 0, {row})") == colours["method-2"]


def test_a_selection_is_lit_everywhere_and_named_in_the_address(opened, whole):
    one = opened(whole, address="#sample=7")
    assert one.page.input_value("#sample-row") == "7"
    assert one.page.get_attribute("#found [aria-current]", "data-row") == "7"
    assert one.page.inner_text("#status").startswith("sound 7: error of all parameters")
    one.page.click("#found button >> nth=0")
    row = one.page.get_attribute("#found button >> nth=0", "data-row")
    assert one.page.url.endswith(f"#sample={row}") and one.page.input_value("#sample-row") == row
    cells = one.page.locator("#bars tbody tr").first.locator("td").all_inner_texts()
    values = one.page.evaluate(f"[samples.truth[0][{row}], samples.value[0][0][{row}], samples.value[1][0][{row}]]")
    np.testing.assert_allclose([float(cell) for cell in cells[1:]], values, rtol=1e-3)


def test_keys_go_from_the_largest_difference_on(opened, made):
    path, methods = made
    first, second, _ = method_errors(methods).values()
    order = np.argsort(-np.abs(second - first)[:, 0], kind="stable")
    one = opened(path)
    one.page.locator("#head-0 canvas").first.focus()
    for key, expected in (("Home", order[0]), ("ArrowRight", order[1]), ("ArrowDown", order[2]), ("ArrowUp", order[1])):
        one.page.keyboard.press(key)
        assert int(one.page.evaluate("selection.row")) == expected


def test_a_cell_keeps_the_sounds_that_one_method_alone_gets_right(opened, made):
    path, methods = made
    first, second, _ = method_errors(methods).values()
    one = opened(path)
    one.page.locator("#head-2 canvas").first.focus()
    one.page.keyboard.press("ArrowRight")  # from the first cell: A wrong, B right
    expected = ((first[:, 2] == 100) & (second[:, 2] == 0)).sum()
    assert one.page.inner_text("#count") == f"{expected} of {COUNT} sounds"


def test_a_figure_of_differences_is_also_a_table(opened, made):
    path, methods = made
    one = opened(path)
    figure = one.page.locator("#forest figure").first
    figure.locator("summary").click()
    figure.locator("table").wait_for()
    cells = figure.locator("tbody tr").first.locator("th, td").all_inner_texts()
    _, rows = pair_table(compare(methods), *NAMES[:2])
    assert cells == [f"{NAMES[1]} - {NAMES[0]}", *rows[0][2:]]


def test_sounds_of_all_methods_play_at_one_position(opened, whole):
    one = opened(whole)
    assert one.page.locator("#heard label").all_inner_texts() == ["true", "trained", "closer"]
    assert one.page.locator("#pictures figcaption").all_inner_texts() == ["true", "trained", "closer"]
    one.page.click("#play")
    one.until("player.running && playedSeconds() > 0.05")
    one.page.check("#heard input[value=method-1]")
    one.until("player.running.voices['method-1'].gain.gain.value > 0.99")
    assert one.page.evaluate("player.running.voices.true.gain.gain.value") < 0.01
    one.page.click("#play")
    assert one.page.evaluate("player.running") is None


def test_paper_is_light(opened, made):
    one = opened(made[0], scheme="dark")
    one.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert one.page.evaluate("colours['method-0']") == "#0b7f63"


def test_a_part_of_a_large_split_keeps_its_numbers(opened, made, tmp_path, monkeypatch):
    methods = made[1]
    monkeypatch.setattr("src.evaluation.reports.comparison.panels.MOST_VALUES", 4 * 4 * 100)
    one = opened(page_of(methods, tmp_path))
    ids = one.page.evaluate("data.ids")
    assert 100 <= len(ids) <= 107 and one.page.evaluate("data.count") == len(ids)
    one.page.evaluate(f"location.hash = '#sample={ids[50]}'")
    one.until("selection.row === 50")
    assert one.page.input_value("#sample-row") == str(ids[50])
    truth = one.page.evaluate("samples.truth[0][50]")
    assert truth == methods[NAMES[0]][0].truth[ids[50], 0]


@pytest.mark.parametrize("at", [0, 2])
def test_a_page_of_one_parameter_and_of_equal_runs_has_no_faults(opened, tmp_path, at):
    (runs,) = make_methods(20, NAMES[:1], ParameterSpace([SPACE.varying[at]])).values()
    one = opened(page_of({"one": runs, "copy": runs}, tmp_path))
    one.page.set_viewport_size({"width": 1280, "height": 6000})  # all figures are drawn
    one.settle()
    expected = "Which of one and copy has the smaller error is unclear for every parameter."
    assert expected in one.page.inner_text("header")
    assert one.page.locator("#examples button").all_inner_texts()[0].startswith("median")
    assert one.page.locator("#heads canvas").count() == 2
