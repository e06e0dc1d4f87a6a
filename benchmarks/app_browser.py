"""Measure the page of the app in Chromium: a slider to its sound, a file to its sliders; see app_latency.py."""

import os
import shutil
from typing import Any

from playwright.sync_api import Page, sync_playwright

_MOVES, _FILES = 50, 30
_PAUSE = 400  # ms between two tries, so that each begins when the one before is over
_SPY = """
window.nextSound = () => new Promise((done) => { window.soundStarted = done; });
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...given) {
  const result = start.apply(this, given);
  window.soundStarted?.(performance.now());
  return result;
};
"""
_MOVE = """async (share) => {
  const slider = document.querySelector("#parameters input");
  slider.value = share * slider.max;
  const sound = window.nextSound(), began = performance.now();
  slider.dispatchEvent(new Event("input"));
  return (await sound) - began;
}"""
_WAIT_FOR_FILE = """() => {
  let began;
  const begin = () => { began = performance.now(); };
  document.getElementById("file").addEventListener("change", begin, {capture: true, once: true});
  window.filled = new Promise((done) => {
    const observer = new MutationObserver(() => { observer.disconnect(); done(performance.now() - began); });
    document.querySelectorAll(".interval").forEach((one) => observer.observe(one, {childList: true}));
  });
}"""


def measure_page(url: str, sounds: list[bytes]) -> dict[str, list[float]]:
    """Return the times in s of each kind of action; `sounds` are WAV files, given in turn.

    A slider's sound plays when its first samples are scheduled, which the sound card then delays by its buffer. A file
    is chosen when the page is told of it.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("--browser: no chromium on this machine; install it, or leave the option out")
    flags = ["--autoplay-policy=no-user-gesture-required"] + ["--no-sandbox"] * (os.geteuid() == 0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        page = browser.new_page()
        page.add_init_script(_SPY)
        page.goto(url)
        page.locator("#status", has_text="Ready").wait_for()
        files = [_choose(page, sounds[at % len(sounds)]) for at in range(_FILES + 1)]
        page.check("#loop")
        page.click("#play-b")
        moves = [_move(page, (at * 0.618) % 1.0) for at in range(_MOVES + 1)]
        browser.close()
    return {"slider to its sound, in the page": moves[1:], "file to the sliders, in the page": files[1:]}


def _choose(page: Page, sound: bytes) -> float:
    page.evaluate(_WAIT_FOR_FILE)
    page.set_input_files("#file", {"name": "sound.wav", "mimeType": "audio/wav", "buffer": sound})
    return _seconds(page, page.evaluate("() => window.filled"))


def _move(page: Page, share: float) -> float:
    return _seconds(page, page.evaluate(_MOVE, share))


def _seconds(page: Page, milliseconds: Any) -> float:
    page.wait_for_timeout(_PAUSE)
    return float(milliseconds) / 1e3
