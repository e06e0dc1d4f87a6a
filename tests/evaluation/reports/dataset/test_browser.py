"""The page of a dataset in a browser: it asks for nothing, counts what NumPy counts, plays, and shows true pixels."""

import numpy as np
import pytest

from src.data.generate import generate
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.reports.dataset.page import write_dataset_page
from tests.data.conftest import tiny_recipe
from tests.evaluation.datasets import write_every_kind
from tests.evaluation.reports.browser import AXE, needs_browser

pytestmark = [needs_browser, pytest.mark.long]
SPLITS = ("train", "val", "test")


def page_of(directory, output):
    splits = {split: VIMHDataset(directory, split) for split in SPLITS}
    return write_dataset_page(splits, output / "page.html"), splits


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """The page of a dataset with sounds and two channels, and its splits."""
    output = tmp_path_factory.mktemp("sounds")
    recipe = tiny_recipe(**{"spectral.channels": ["magnitude", "temporal_envelope"]})
    return page_of(generate(recipe, output)[0], output)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """The page of a dataset of no synth, with parameters of every kind, and its splits."""
    output = tmp_path_factory.mktemp("kinds")
    write_every_kind(output / "kinds")
    return page_of(output / "kinds", output)


def values_of(splits):
    """Return the exact values (n, P) of all samples."""
    space = splits["train"].spec.space
    return np.concatenate([space.denormalize(splits[split].targets()) for split in SPLITS])


def names_of(splits):
    return [f"{split}-{row}" for split in SPLITS for row in range(len(splits[split]))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen_and_has_few_elements(opened, sounds, scheme, width):
    one = opened(sounds[0], scheme=scheme, width=width)
    assert one.page.evaluate("document.documentElement.scrollWidth") == width
    assert one.page.evaluate("document.querySelectorAll('*').length") < 4000
    paper = one.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]


@pytest.mark.skipif(not AXE, reason="AXE is not set to the path of axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["sounds", "kinds"])
def test_axe_finds_nothing(opened, request, name, scheme):
    one = opened(request.getfixturevalue(name)[0], scheme=scheme, width=390, bypass_csp=True)
    one.unfold()
    assert one.violations(AXE) == []


def test_names_and_units_are_text(opened, kinds):
    one = opened(kinds[0])
    one.unfold()
    text = one.page.inner_text("body")
    for name in ("<script>alert(1)</script>", "<i>dB</i> [red]", "wave :bomb:"):
        assert name in text, name
    assert one.page.locator("img, script:not(#data):not(:last-of-type), i:not(.bar i)").count() == 0


def test_the_filter_counts_what_numpy_counts(opened, sounds):
    path, splits = sounds
    cutoff, names = values_of(splits)[:, 1], names_of(splits)
    expected = np.flatnonzero((cutoff >= 300) & (cutoff <= 900))
    one = opened(path)
    one.page.select_option("select[name=quantity]", "1")
    one.page.fill("input[name=low]", "300")
    one.page.fill("input[name=high]", "900")
    assert one.page.inner_text("#count") == f"{len(expected)} of {len(cutoff)} samples"
    one.page.select_option("select[name=order]", "1")
    one.page.select_option("select[name=direction]", "up")
    found = one.page.locator("#found button").all_inner_texts()
    ordered = expected[np.argsort(cutoff[expected], kind="stable")]
    assert found == [names[row] for row in ordered[:24]]


def test_histograms_are_numpys_and_a_bar_keeps_its_samples(opened, sounds):
    path, splits = sounds
    velocity, cutoff = values_of(splits).T
    one = opened(path)
    for at, values in enumerate((velocity, cutoff)):
        bars = one.page.evaluate(f"data.parameters[{at}].bars")
        assert bars["counts"] == np.histogram(values, bars["edges"])[0].tolist()
    canvas = one.page.locator("#distributions canvas").nth(1)
    canvas.focus()
    one.page.keyboard.press("ArrowRight")
    one.page.keyboard.press("ArrowRight")
    assert one.page.inner_text("#count") == f"{bars['counts'][1]} of 150 samples"
    x = one.page.evaluate("document.querySelectorAll('#distributions canvas')[1].plot.pen.x(210)")
    canvas.click(position={"x": x, "y": 20})
    assert one.page.inner_text("#count") == f"{bars['counts'][0]} of 150 samples"
    figure = one.page.locator("#distributions figure").nth(1)
    figure.locator("summary").click()
    figure.locator("table").wait_for()
    assert [int(text) for text in figure.locator("td").all_inner_texts()] == bars["counts"]


def test_categories_have_a_bar_each(opened, kinds):
    path, splits = kinds
    counts = np.bincount(values_of(splits)[:, 1].astype(int), minlength=4).tolist()
    assert opened(path).page.evaluate("data.parameters[1].bars.counts") == counts


def test_correlations_are_numpys_and_a_cell_shows_its_pair(opened, sounds):
    path, splits = sounds
    unit = np.concatenate([splits[split].targets() for split in SPLITS])
    one = opened(path)
    np.testing.assert_allclose(one.page.evaluate("data.correlations"), np.corrcoef(unit.T.astype(float)))
    one.page.locator("#pairs canvas").first.focus()
    one.page.keyboard.press("ArrowUp")  # from the first cell to the second row
    assert one.page.inner_text("#pairs figure:last-child figcaption").startswith("filter_cutoff by note_velocity")
    place = "(([one, two]) => [two.x(samples.values[0][9]), two.y(samples.values[1][9])])"
    pens = "[...document.querySelectorAll('#pairs canvas')].map((canvas) => canvas.plot.pen)"
    one.until(f"{pens}.every(Boolean)")  # until both are drawn
    x, y = one.page.evaluate(f"{place}({pens})")
    one.page.locator("#pairs canvas").nth(1).click(position={"x": x, "y": y})
    assert one.page.evaluate("selection.row") == 9 and one.page.url.endswith("#sample=train-9")


def test_a_selection_is_named_in_the_address_with_its_exact_values(opened, sounds):
    path, splits = sounds
    row = names_of(splits).index("test-3")
    velocity, cutoff = values_of(splits)[row]
    one = opened(path, address="#sample=test-3")
    assert one.page.input_value("#sample-name") == "test-3"
    cells = one.page.locator("#bars tbody tr td:nth-child(2)").all_inner_texts()
    assert cells == [f"{velocity:#.4g}", f"{cutoff:#.4g}"]
    one.page.click("#after")
    assert one.page.url.endswith("#sample=test-4")
    one.page.fill("#sample-name", "val-2")
    one.page.keyboard.press("Enter")
    assert one.page.evaluate("idOf(selection.row)") == "val-2"
    one.page.fill("#sample-name", "val-9999")
    one.page.keyboard.press("Enter")
    assert "val-9999 is not among" in one.page.inner_text("#status")


@pytest.mark.parametrize("name", ["train-0", "train-1"])  # with all channels, and with a thumbnail alone
def test_the_pixels_of_an_image_have_their_colours(opened, sounds, name):
    path, splits = sounds
    image = splits["train"][int(name.split("-")[1])]["image"].numpy()
    one = opened(path, address=f"#sample={name}")
    one.page.locator("#pictures").scroll_into_view_if_needed()
    one.until("sample.plots.length > 2 && sample.plots[0].pen")
    one.settle()
    complete = one.page.evaluate("Boolean(sample.example)")
    assert complete == (name == "train-0")
    script = """([figure, row, column, height, width]) => {
      const canvas = document.querySelectorAll("#pictures canvas")[figure], { pen } = canvas.plot;
      const copy = element("canvas", { width: canvas.width, height: canvas.height });
      const context = copy.getContext("2d", { willReadFrequently: true });
      context.drawImage(canvas, 0, 0);
      const x = pen.left + (pen.wide * (column + 0.5)) / width, y = pen.top + pen.high * (1 - (row + 0.5) / height);
      return [...context.getImageData(Math.floor(x), Math.floor(y), 1, 1).data.slice(0, 3)];
    }"""
    figures = {0: 0, 2: 1} if complete else {0: 0}  # the second figure shows what the colours mean
    for figure, channel in figures.items():
        for row, column in ((0, 1), (3, 2), (7, 5)):
            found = one.page.evaluate(script, [figure, row, column, *image.shape[1:]])
            colour = one.page.evaluate(f"heat({image[channel, row, column]})")
            assert found == pytest.approx(colour, abs=1), (channel, row, column)


def test_the_sound_plays_with_a_cursor(opened, sounds):
    one = opened(sounds[0])
    one.page.click("#play")
    one.until("player.running && playedSeconds() > 0.02")
    assert one.page.evaluate("player.buffers.true.length / player.buffers.true.sampleRate") == pytest.approx(0.1)
    one.page.click("#play")
    assert one.page.inner_text("#play") == "Play"
    one.page.locator("#pictures canvas").first.focus()
    one.page.evaluate("seek(0.03)")
    one.page.keyboard.press("ArrowRight")
    axis = one.page.evaluate("sample.plots[0].x")
    assert one.page.evaluate("playedSeconds()") == pytest.approx(0.03 + (axis["max"] - axis["min"]) / 20)


def test_a_page_without_sounds_says_why(opened, kinds):
    one = opened(kinds[0])
    assert one.page.inner_text("#sample-note").startswith("No sounds: ")
    assert not one.page.locator("#play").is_visible()
