"""Time functions in turns, so that other load on the machine affects all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Key = TypeVar("Key")


def in_turns(
    steps: Mapping[Key, Callable[[], object]],
    rounds: int = 9,
    repeats: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, float]:
    """Return the median seconds of each step over `rounds`, after one round that fills caches.

    With time.process_time as the clock, the seconds are the processor's, which other work affects less.
    """
    seconds: dict[Key, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            began = clock()
            for _ in range(repeats):
                step()
            if turn:
                seconds[name].append((clock() - began) / repeats)
    return {name: statistics.median(taken) for name, taken in seconds.items()}
