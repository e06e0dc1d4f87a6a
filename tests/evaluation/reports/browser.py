"""A page in Debian's Chromium, without a network. Tests that need it are skipped where it is missing."""

import importlib.util
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
AXE = os.environ.get("AXE")  # the path of axe.min.js, which `npm pack axe-core` contains
_REASONS = {
    f"{CHROMIUM} is not installed": not CHROMIUM.exists(),
    "playwright is not installed": importlib.util.find_spec("playwright") is None,
}
needs_browser = pytest.mark.skipif(any(_REASONS.values()), reason=next((why for why, no in _REASONS.items() if no), ""))


@contextmanager
def browser():
    """Yield a browser; without a sandbox where root runs it, as in CI."""
    from playwright.sync_api import sync_playwright

    arguments = ["--autoplay-policy=no-user-gesture-required"] + ["--no-sandbox"] * (os.geteuid() == 0)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


class Opened:
    """A page that was opened from disk, with what it asked for and what it complained about."""

    def __init__(self, started, path, scheme="light", width=1280, address="", **options):
        viewport = {"width": width, "height": 900}
        self.context = started.new_context(color_scheme=scheme, viewport=viewport, offline=True, **options)
        self.page = self.context.new_page()
        self.faults, self.requests = [], []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url + address)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def outside(self):
        """Return the requests for anything but the page itself."""
        return [url for url in self.requests if not url.startswith((self.url, "data:"))]

    def until(self, condition):
        """Wait until a condition holds; the page's policy forbids Playwright's own way, which needs `eval`."""
        look = f"const look = () => (({condition}) ? done() : setTimeout(look, 20))"
        self.page.evaluate(f"new Promise((done) => {{ {look}; look(); }})")

    def settle(self):
        """Wait until what is on the screen has been drawn."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")

    def unfold(self):
        """Open all that is folded, such as the tables of figures."""
        self.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        self.settle()

    def violations(self, axe):
        """Return what axe, the path of axe.min.js, finds, each with the first element that it finds."""
        self.page.evaluate(Path(axe).read_text())
        found = self.page.evaluate("axe.run()")["violations"]
        return [(each["id"], each["nodes"][0]["html"]) for each in found]

    def pixel(self, canvas, x, y):
        """Return the colour in a figure under the values x and y; all three are expressions of the page's scripts."""
        script = f"""() => {{
          const canvas = {canvas}, {{ pen }} = canvas.plot;
          const at = [pen.x({x}), pen.y({y})].map((place) => Math.floor(place * devicePixelRatio));
          const copy = element("canvas", {{ width: canvas.width, height: canvas.height }});
          const context = copy.getContext("2d", {{ willReadFrequently: true }});
          context.drawImage(canvas, 0, 0);
          const found = context.getImageData(...at, 1, 1).data;
          return `#${{[...found.slice(0, 3)].map((part) => part.toString(16).padStart(2, "0")).join("")}}`;
        }}"""
        return self.page.evaluate(script)
