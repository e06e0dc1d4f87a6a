"""Kernels are compiled whether or not there is a place to keep the machine code, to the same results."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests import running

KERNELS = """
import sys
import numpy as np
from src.synth.compiled import compiled

@compiled
def doubled(x, out):
    for at in range(len(x)):
        out[at] = x[at] + x[at]

@compiled
def halves(x, out):
    for at in range(len(x)):
        out[at] = x[at] / np.float32(2)

x = np.arange(5, dtype=np.float32)
out = np.empty_like(x)
doubled(x, out)
print(out.tolist())
"""


@pytest.mark.parametrize("place", ["beside the module", "nowhere", "NUMBA_CACHE_DIR"])
def test_a_kernel_runs_with_and_without_a_cache(tmp_path, place):
    (tmp_path / "kernels.py").write_text(KERNELS)
    environment = {**os.environ, "PYTHONPATH": str(running.ROOT), "HOME": "/proc/nohome"}
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        environment.pop(name, None)
    if place != "beside the module":
        (tmp_path / "__pycache__").touch()  # a file, so that not even root can make the directory
    if place == "NUMBA_CACHE_DIR":
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, tmp_path / "kernels.py"], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == str(np.arange(0, 10, 2, dtype=np.float32).tolist()), done.stderr
    assert bool(list(tmp_path.rglob("*.nbi"))) == (place != "nowhere")
    warned = done.stderr.count("set NUMBA_CACHE_DIR to a directory that can be written")
    assert warned == (place == "nowhere")
