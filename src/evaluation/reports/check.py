"""One check on top of a page."""

from dataclasses import dataclass
from typing import Literal

State = Literal["pass", "warn", "fail", "unknown"]


@dataclass(frozen=True)
class Check:
    """One check: its name, its state, and why it has this state."""

    name: str
    state: State
    why: str
