"""Whether a voice gives the same sound for the same parameters, which a plug-in may not."""

import logging

import numpy as np

from src.data.source import Source

log = logging.getLogger(__name__)


def noise_floor_db(source: Source) -> float | None:
    """Return how loud the difference of two renderings of the same clips is, relative to them; None if there is none.

    The clips of the first block are rendered again in reverse order. Only a voice that other programs compute is
    tested; the others are functions of their parameters.
    """
    if source.synth.voice.versions is None:
        return None
    values = source.first_values()
    first, again = source.sounds(values), source.sounds(values[::-1])[::-1]
    if np.array_equal(first, again):
        return None
    difference = np.square(again - first, dtype=np.float64).mean()
    floor = 10.0 * np.log10(difference / max(np.square(first, dtype=np.float64).mean(), 1e-20))
    log.warning(
        "voice %s is not a function of its parameters: if the same clips are rendered again, the difference is %.0f dB "
        "relative to them, so this dataset cannot be made again",
        *(source.synth.voice.name, floor),
    )
    return round(float(floor), 1)
