"""Measure the app: an upload to its values, values to their sound: python benchmarks/app_latency.py.

The requests go to src/app.py in a process of its own, as those of the page do. With --browser, the page itself is
measured too, in Chromium (needs playwright). Measure on a quiet machine.
"""

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.utils.table import Column, show

_WARM_UP = 10  # requests that are not counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ckpt", nargs="?", default="best", help="a .ckpt file, best or last (best)")
    parser.add_argument("--count", type=int, default=200, help="requests of each kind")
    parser.add_argument("--browser", action="store_true", help="also measure the page in Chromium")
    arguments = parser.parse_args()
    command = [sys.executable, str(ROOT / "src/app.py"), arguments.ckpt]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as app:
        try:
            assert app.stdout is not None
            found = re.search(r"127\.0\.0\.1:\d+", app.stdout.readline())
            if found is None:
                raise SystemExit("the app did not start")
            measure(found[0], arguments.count, arguments.browser)
        finally:
            app.terminate()


def measure(address: str, count: int, browser: bool) -> None:
    """Print the median and the 95th percentile of each kind of request, and of what is done in the page."""
    connection = http.client.HTTPConnection(address)

    def ask(method: str, path: str, body: bytes = b"") -> bytes:
        connection.request(method, path, body)
        reply = connection.getresponse()
        content = reply.read()
        if reply.status != 200:
            raise SystemExit(f"{path}: {content.decode()}")
        return content

    while not (model := json.loads(ask("GET", "/models"))[0])["ready"]:
        if model["fault"]:
            raise SystemExit(model["fault"])
        time.sleep(0.2)
    values = json.dumps({"values": model["middle"]}).encode()
    sound = ask("POST", "/render", values)
    kinds: dict[str, Callable[[], bytes]] = {
        "upload to values": lambda: ask("POST", "/predict", sound),
        "values to sound": lambda: ask("POST", "/render", values),
        "values to what the network hears": lambda: ask("POST", "/hear", values),
    }
    times = {name: [timed(request) for _ in range(_WARM_UP + count)][_WARM_UP:] for name, request in kinds.items()}
    if browser:
        from app_browser import measure_page

        lowest = {one["name"]: one["min"] for one in model["parameters"]}
        other = ask("POST", "/render", json.dumps({"values": lowest}).encode())
        times |= measure_page(f"http://{address}", [sound, other])
    rows = []
    for name, found in times.items():
        rows.append([name, str(len(found)), *(f"{1e3 * np.percentile(found, share):.1f}" for share in (50, 95))])
    columns = [Column("what", text=True), Column("times"), Column("median [ms]"), Column("95th percentile [ms]")]
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    show(columns, rows, caption=f"{len(sound):,} bytes of sound; load average {load}")


def timed(task: Callable[[], bytes]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
