"""Measure the app: an upload to its values, values to their sound: python benchmarks/app_latency.py.

The requests go to src/app.py in a process of its own, as those of the page do. Measure on a quiet machine.
"""

import argparse
import http.client
import json
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
    arguments = parser.parse_args()
    command = [sys.executable, str(ROOT / "src/app.py"), arguments.ckpt]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as app:
        try:
            assert app.stdout is not None
            found = re.search(r"127\.0\.0\.1:\d+", app.stdout.readline())
            if found is None:
                raise SystemExit("the app did not start")
            measure(http.client.HTTPConnection(found[0]), arguments.count)
        finally:
            app.terminate()


def measure(connection: http.client.HTTPConnection, count: int) -> None:
    """Print the median and the 95th percentile of each kind of request."""

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
    rows = []
    for name, request in kinds.items():
        times = [timed(request) for _ in range(_WARM_UP + count)][_WARM_UP:]
        rows.append([name, *(f"{1e3 * np.percentile(times, share):.1f}" for share in (50, 95))])
    columns = [Column("request", text=True), Column("median [ms]"), Column("95th percentile [ms]")]
    show(columns, rows, caption=f"{count} requests each, {len(sound):,} bytes of sound")


def timed(task: Callable[[], bytes]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
