"""What a file from elsewhere must never reach: importing this module, and calling anything in it, is written down."""

import os
from pathlib import Path
from typing import Any

_SEEN = Path(os.environ.get("NSMT_CANARY", os.devnull))


def call(*_: Any, **__: Any) -> None:
    """Write down that somebody called."""
    with _SEEN.open("a") as file:
        file.write("called\n")


class Network:
    """A class that writes down that it was built."""

    def __init__(self, *_: Any, **__: Any) -> None:
        call()


class Loss(Network):
    """The same in another role."""


call()  # importing it is as bad
