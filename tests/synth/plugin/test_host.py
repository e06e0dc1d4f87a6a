"""The process of a plug-in: what it answers, and what becomes of a plug-in that ends or hangs."""

import os
import time

import numpy as np
import pytest

from src.synth.plugin import host as module
from src.synth.plugin.host import Host, LostClip, Note
from src.utils.errors import UserError

NOTE = Note(60, 100, 0.05, 0.1)
FAKE = """
import os, sys, time
import numpy as np
from multiprocessing.connection import Connection

connection = Connection(int(sys.argv[1]))
while True:
    try:
        kind, *arguments = connection.recv()
    except EOFError:
        break
    if kind == "describe":
        connection.send(("fault", "no such plug-in"))
    elif arguments[0].get(0) == 1.0:
        os.abort()
    elif arguments[0].get(0) == 2.0:
        time.sleep(60)
    else:
        connection.send(("answer", np.full((1, 4), os.getpid(), np.float32)))
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A host whose worker aborts for value 1 and hangs for value 2."""
    worker = tmp_path / "worker.py"
    worker.write_text(FAKE)
    monkeypatch.setattr(module, "_WORKER", worker)
    monkeypatch.setattr(module, "_CLIP_SECONDS", 0.5)
    found = Host("fake", None, 8000)
    yield found
    found.close()


def test_a_plug_in_that_aborts_or_hangs_loses_one_clip(fake):
    monkey = fake.render({0: 0.0}, NOTE, False)[0, 0]
    with pytest.raises(LostClip, match="its process ended with status -6"):
        fake.render({0: 1.0}, NOTE, False)
    again = fake.render({0: 0.0}, NOTE, False)[0, 0]
    assert again != monkey
    with pytest.raises(LostClip, match=r"it did not answer within 0\.5 s"):
        fake.render({0: 2.0}, NOTE, False)
    assert np.isfinite(fake.render({0: 0.0}, NOTE, False)).all()


def test_a_fault_is_one_line(fake):
    with pytest.raises(UserError, match=r"^synth\.source: no such plug-in$"):
        fake.describe()


def test_no_process_stays_after_close(fake):
    pid = int(fake.render({}, NOTE, False)[0, 0])
    fake.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")
