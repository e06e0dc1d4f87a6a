"""The page in a browser: it asks for nothing, shows what NumPy computes, plays, and can be used without a mouse."""

import numpy as np
import pytest

from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.predictions_file import read_predictions_file
from src.evaluation.reports import panels
from src.evaluation.reports.write import write_report
from src.models.build import load_checkpoint
from src.run.record import last_session
from tests.evaluation.reports.browser import AXE, needs_browser
from tests.evaluation.reports.made import MARKUP, make_predictions, write_results

pytestmark = [needs_browser, pytest.mark.long]
COUNT = 300


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report of predictions alone, and what predictions.npz holds."""
    directory = tmp_path_factory.mktemp("made")
    write_results(make_predictions(COUNT), directory)
    return write_report(directory, directory), read_predictions_file(directory / "predictions.npz")


@pytest.fixture(scope="module")
def whole(trained, saw, tmp_path_factory):
    """A report with images, sounds and refined answers."""
    model, output = load_checkpoint(trained.best), tmp_path_factory.mktemp("whole")
    run = trained.output
    return write_report(run, output, run, last_session(run), model, VIMHDataModule(saw), refine=2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen_and_has_few_elements(opened, whole, scheme, width):
    one = opened(whole, scheme=scheme, width=width)
    assert one.page.evaluate("document.documentElement.scrollWidth") == width
    assert one.page.evaluate("document.querySelectorAll('*').length") < 4000
    paper = one.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]


@pytest.mark.skipif(not AXE, reason="AXE is not set to the path of axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["whole", "made"])
def test_axe_finds_nothing(opened, request, name, scheme, width):
    page = request.getfixturevalue(name)
    one = opened(page if name == "whole" else page[0], scheme=scheme, width=width, bypass_csp=True)
    one.unfold()
    assert one.violations(AXE) == []


def test_names_and_units_are_text(opened, made):
    one = opened(made[0])
    one.unfold()
    text = one.page.inner_text("body")
    for name in (MARKUP, "<b>dB</b>", "<i>sine"):
        assert name in text, name
    assert one.page.locator("img, i:not(.bar i), b:not(.checks b)").count() == 0


@pytest.mark.parametrize(("quantity", "low", "high"), [("error of cutoff", 40, 200), ("true octave", -1, 1)])
def test_the_filter_counts_what_numpy_counts(opened, made, quantity, low, high):
    path, predictions = made
    truth, value = (array.astype(np.float64) for array in (predictions.truth, predictions.value))
    values = {"error of cutoff": np.abs(value - truth)[:, 0], "true octave": truth[:, 3]}[quantity]
    expected = np.flatnonzero((values >= low) & (values <= high))
    one = opened(path)
    label = one.page.locator("select[name=quantity] option", has_text=quantity).inner_text()
    one.page.select_option("select[name=quantity]", label=label)
    one.page.fill("input[name=low]", str(low))
    one.page.fill("input[name=high]", str(high))
    assert one.page.inner_text("#count") == f"{len(expected)} of {COUNT} sounds"
    one.page.select_option("select[name=order]", label=label)
    one.page.select_option("select[name=direction]", "up")
    shown = [int(row) for row in one.page.eval_on_selector_all("#found button", "all => all.map(b => b.dataset.row)")]
    ordered = expected[np.argsort(values[expected], kind="stable")]
    assert shown == ordered[: len(shown)].tolist() and len(shown) == min(24, len(expected))
    one.page.click("text=Show all")
    one.settle()
    assert one.page.inner_text("#count") == f"{COUNT} of {COUNT} sounds"


def pixel(one, figure, row):
    """Return the colour of the pixel under a sample's point in a figure of the first head."""
    y = f"samples.value[0][{row}]" + (f" - samples.truth[0][{row}]" if figure else "")
    return one.pixel(f'document.querySelectorAll("#head-0 canvas")[{figure}]', f"samples.truth[0][{row}]", y)


def test_a_value_keeps_its_zeros_and_a_whole_number_is_exact(opened, whole):
    numbers = "[60, 0, 1.5, 0.1 + 0.2, 12345.678, 99.996, 0.00001234, -2.50004, NaN]"
    expected = ["60", "0", "1.500", "0.3000", "12346", "100.0", "0.00001234", "-2.500", "-"]
    assert opened(whole).page.evaluate(f"{numbers}.map((value) => digits(value))") == expected


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pixel_under_a_sample_has_its_colour(opened, made, scheme):
    path, predictions = made
    order = np.argsort(predictions.truth[:, 0])
    row, other = int(order[COUNT // 3]), int(order[2 * COUNT // 3])
    one = opened(path, scheme=scheme, address=f"#sample={row}")
    one.page.locator("#head-0").scroll_into_view_if_needed()
    one.settle()
    colours = one.page.evaluate("colours")
    for figure in (0, 1):
        assert pixel(one, figure, row) == colours["selected"]
        assert pixel(one, figure, other) == colours["point"]
    one.page.evaluate(f"keep((each) => each === {row})")
    one.settle()
    assert pixel(one, 0, other) == colours["dim"]


def test_a_selection_is_lit_everywhere_and_named_in_the_address(opened, whole):
    one = opened(whole, address="#sample=7")
    assert one.page.input_value("#sample-row") == "7"
    assert one.page.get_attribute("#found [aria-current]", "data-row") == "7"
    assert one.page.inner_text("#status").startswith("sound 7: mean error")
    one.page.click("#found button >> nth=0")
    row = one.page.get_attribute("#found button >> nth=0", "data-row")
    assert one.page.url.endswith(f"#sample={row}") and one.page.input_value("#sample-row") == row
    one.page.evaluate("location.hash = '#sample=3'")
    one.settle()
    assert one.page.input_value("#sample-row") == "3"


def test_keys_go_from_the_largest_error_on(opened, made):
    path, predictions = made
    error = np.abs(predictions.value.astype(np.float64) - predictions.truth)[:, 0]
    order = np.argsort(-error, kind="stable")
    one = opened(path)
    canvas = one.page.locator("#head-0 canvas").first
    canvas.focus()
    for key, expected in (("Home", order[0]), ("ArrowRight", order[1]), ("ArrowDown", order[2]), ("ArrowUp", order[1])):
        one.page.keyboard.press(key)
        assert int(one.page.evaluate("selection.row")) == expected


def test_a_click_selects_the_nearest_point_and_a_cell_keeps_its_samples(opened, made):
    path, predictions = made
    one = opened(path)
    box = "document.querySelectorAll('#head-0 canvas')[0]"
    one.page.locator("#head-0").scroll_into_view_if_needed()
    one.settle()
    place = one.page.evaluate(f"[{box}.plot.pen.x(samples.truth[0][5]), {box}.plot.pen.y(samples.value[0][5])]")
    one.page.locator("#head-0 canvas").first.click(position={"x": place[0], "y": place[1]})
    assert one.page.evaluate("selection.row") == 5
    cells = panels.confusion(predictions, 2)
    canvas = one.page.locator("#head-2 canvas").first
    canvas.focus()
    one.page.keyboard.press("ArrowRight")  # from the first cell: true class 1, predicted class 0
    assert one.page.inner_text("#count") == f"{cells.counts[1, 0]} of {COUNT} sounds"


def test_a_figure_is_also_a_table(opened, made):
    path, predictions = made
    one = opened(path)
    figure = one.page.locator("#head-2 figure").first
    figure.locator("summary").click()
    figure.locator("table").wait_for()
    cells = [[int(cell) for cell in row.locator("td").all_inner_texts()] for row in figure.locator("tbody tr").all()]
    np.testing.assert_array_equal(np.array(cells).T, panels.confusion(predictions, 2).counts)


def test_the_three_sounds_play_at_one_position(opened, whole):
    one = opened(whole)
    assert one.page.locator("#heard input").count() == 3 and one.page.locator("#pictures canvas").count() == 3
    one.page.click("#play")
    one.until("player.running && playedSeconds() > 0.05")
    lengths = one.page.evaluate("Object.values(player.buffers).map((buffer) => buffer.length)")
    assert len(lengths) == 3 and len(set(lengths)) == 1
    before = one.page.evaluate("player.running.began")
    one.page.check("#heard input[value=refined]")
    one.until("player.running.voices.refined.gain.gain.value > 0.99")
    assert one.page.evaluate("player.running.voices.true.gain.gain.value") < 0.01
    assert one.page.evaluate("player.running.began") == before  # none of them was started again
    one.page.evaluate("seek(0.5)")
    assert one.page.evaluate("playedSeconds()") >= 0.5 - 1e-9  # a difference of two clock readings
    one.page.click("#play")
    assert one.page.inner_text("#play") == "Play" and one.page.evaluate("player.running") is None


def test_the_maps_are_those_of_the_chosen_head_and_of_the_selected_sample(opened, whole):
    one = opened(whole)
    examples = one.page.evaluate("data.examples")
    shown = "document.getElementById('explained-band').textContent.endsWith"
    one.until(f"{shown}(data.examples[0].explained.bands[0] + '.')")
    count = one.page.locator("#explained-maps canvas").count()
    assert count == (2 if examples[0]["explained"]["cams"] else 1)
    picture = "document.querySelector('#explained-maps canvas').toDataURL()"
    first = one.page.evaluate(picture)
    one.page.select_option("#explained-head", index=1)
    one.until(f"{shown}(data.examples[0].explained.bands[1] + '.')")
    one.page.locator("#explained-maps canvas").first.scroll_into_view_if_needed()
    one.settle()
    assert one.page.evaluate(picture) != first
    assert one.page.locator("#explained-maps canvas").count() == count
    row = next(row for row in range(13) if row not in [each["row"] for each in examples[:3]])
    one.page.evaluate(f"select({row})")
    assert one.page.locator("#explained").is_hidden()
    assert one.page.inner_text("#not-explained").startswith("The page explains the best")


def test_paper_is_light(opened, made):
    one = opened(made[0], scheme="dark")
    one.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert one.page.evaluate("colours.paper") == "#ffffff"
    one.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert one.page.evaluate("colours.paper") == "#14171c"


def test_sixteen_thousand_samples_of_ten_heads_stay_small(opened, tmp_path):
    from src.parameters.space import ParameterSpace
    from src.parameters.spec import ParameterSpec

    space = ParameterSpace([ParameterSpec(name=f"parameter_{at}", min=0, max=1) for at in range(10)])
    write_results(make_predictions(16_384, space), tmp_path)
    path = write_report(tmp_path, tmp_path)
    assert path.stat().st_size < 4_500_000  # thumbnails are a further 1 to 3 MB
    one = opened(path)
    assert one.page.evaluate("document.querySelectorAll('*').length") < 4000
