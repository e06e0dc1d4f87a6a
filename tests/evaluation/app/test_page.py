"""The page in a real browser: a sound, its values, their sound while a slider is dragged, a recording, every width."""

import json
import os
import shutil

import pytest

from src.evaluation.image_axes import known_axes

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]
_FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a beep, and nobody asks
_SPY = """
window.played = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...given) {
  const samples = this.buffer.getChannelData(0);
  window.played.push({offset: given[1] || 0, sum: samples.reduce((sum, sample) => sum + Math.abs(sample), 0)});
  return start.apply(this, given);
};
"""


@pytest.fixture(scope="module")
def browser():
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else _FLAGS  # its sandbox does not work for root
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, served):
    """Return a function that opens the page; at the end it has asked nobody else and reported no error."""
    contexts, foreign, errors = [], [], []

    def note_request(request):
        if not request.url.startswith((served.url, f"blob:{served.url}", "data:")):
            foreign.append(request.url)

    def note_message(message):
        if "status of 422" not in message.text:  # the browser reports each refusal
            errors.append(message.text)

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(_SPY)
        page.on("request", note_request)
        page.on("console", note_message)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(served.url)
        page.locator("#status", has_text="Ready").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not foreign and not errors


@pytest.fixture(scope="module")
def file(clip):
    return {"name": "tone.wav", "mimeType": "audio/wav", "buffer": clip}


def choose(page, file):
    page.set_input_files("#file", file)
    page.locator("#status", has_text="network's answer").wait_for()
    page.locator("#difference", has_text="differ").wait_for()


def drag(page, control, shares):
    slider = page.locator(control)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.move(box["x"] + shares[0] * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in shares[1:]:
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(60)


def test_a_sound_fills_the_sliders_and_a_drag_is_heard(open_page, file, served, clip):
    page = open_page()
    assert page.is_disabled("#switch") and page.is_enabled("#play-b")  # there is no A yet
    choose(page, file)
    values = served.session.predict(clip, "mix")["values"]
    for at, (name, value) in enumerate(values.items()):
        assert name in page.inner_text(f"#row-{at}") and f"{value:.4g}" in page.inner_text(f"#row-{at} output")
        assert page.locator(f"#row-{at} .band").is_visible()
    page.check("#loop")  # so that it still plays on a slow machine
    drag(page, "#value-0", (0.2, 0.4, 0.6, 0.8))  # velocity: the level
    assert page.get_attribute("#play-b", "aria-pressed") == "true"
    page.mouse.up()
    page.wait_for_timeout(300)
    played = page.evaluate("window.played")
    assert played[0]["offset"] == 0 and played[-1]["offset"] > 0  # it goes on where it was
    assert played[-1]["sum"] > 1.05 * played[0]["sum"]
    assert "in B the network hears" in page.inner_text("#row-0 .heard")
    page.click("#play-a")
    page.click("#switch")
    assert page.get_attribute("#play-b", "aria-pressed") == "true"


def test_an_answer_is_refined_and_saved(open_page, file, served, clip):
    page = open_page()
    choose(page, file)
    page.click("#refine")
    page.locator("#refinement li").first.wait_for()
    with page.expect_download() as download:
        page.click("#save-json")
    saved = json.loads(download.value.path().read_text())
    refined = served.session.predict(clip, "mix", refined=True)
    assert saved["checkpoint"] == "first" and saved["values"] == pytest.approx(refined["values"])
    assert saved["refined"]["network"] == pytest.approx(saved["network"]["values"])
    with page.expect_download() as download:
        page.click("#save-wav")
    assert download.value.path().read_bytes() == served.session.render(saved["values"])


def test_an_answer_is_explained_for_the_chosen_parameter(open_page, file, served, clip):
    page = open_page()
    choose(page, file)
    page.click("#explain")
    page.locator("#explanation").wait_for()
    found = served.session.explain(clip, "mix")
    first = page.evaluate("document.getElementById('gradients').toDataURL()")
    assert page.inner_text("#band").endswith(f"{found['bands'][0]}.")
    assert page.locator("#cams").is_visible() == (found["cams"] is not None)
    page.select_option("#explained", index=1)
    assert page.inner_text("#band").endswith(f"{found['bands'][1]}.")
    assert page.evaluate("document.getElementById('gradients').toDataURL()") != first
    choose(page, file | {"name": "again.wav"})
    assert page.locator("#explanation").is_hidden()


def test_pictures_have_the_axes_of_the_front_end_and_the_playhead_follows_them(open_page, file, served):
    page = open_page()
    choose(page, file)
    axes = page.evaluate("fetch('models').then((reply) => reply.json()).then((models) => models[0].axes)")
    assert axes == known_axes(served.session.model.spec)
    page.check("#loop")
    page.click("#play-a")
    page.locator("#playhead-a").wait_for()
    canvas, area = (page.locator(one).bounding_box() for one in ("#picture-a", "#picture-a + .area"))
    assert (area["x"] - canvas["x"], area["height"]) == (54, canvas["height"] - 46)  # margins of axes.js
    start, end = axes["x"]["min"], axes["x"]["max"]
    played, x = page.evaluate("""() => {
      const line = document.getElementById("playhead-a");
      const [animation] = line.getAnimations();
      animation.pause();
      animation.currentTime = 500;
      return [animation.effect.getTiming().duration / 1000, new DOMMatrix(getComputedStyle(line).transform).e];
    }""")
    assert played == served.session.describe()["seconds"]
    assert x == pytest.approx(
        (0.5 - start) / (end - start) * area["width"], abs=area["width"] / 25
    )  # it moves in steps


def test_a_recording_is_cut_at_its_first_onset(open_page):
    page = open_page(permissions=["microphone"])
    page.click("#record")
    page.locator("#status", has_text="Recording").wait_for()
    page.wait_for_timeout(2500)
    page.click("#record")
    page.locator("#segment-table button").first.wait_for()
    page.locator("#status", has_text="network's answer").wait_for()
    page.locator("#segment-table button").last.click()
    page.locator("#status", has_text="network's answer").wait_for()


def test_a_bad_file_is_told_and_a_cancelled_choice_is_nothing(open_page, file):
    page = open_page()
    page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"rubbish"})
    page.locator("#status.fault", has_text="not a sound file").wait_for()
    page.set_input_files("#file", [])
    choose(page, file)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_screen(open_page, file, scheme, width):
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    choose(page, file)
    page.click("#segment")
    page.locator("#segment-table table").wait_for()
    page.click("#compare summary")
    page.locator("#comparison table").wait_for()
    page.click("#explain")
    page.locator("#explanation").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
