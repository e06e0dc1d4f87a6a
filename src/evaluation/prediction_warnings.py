"""Reasons to distrust the prediction of one sound, as texts for a user."""

import numpy as np

from src.parameters.space import ParameterSpace

UNLIKE = "unlike the training sounds"
AT_EDGE = "values at the edge of the range"
_EDGE = 0.001  # of the range: a head that is sure of a value beyond the range predicts less than this from its end


def prediction_warnings(space: ParameterSpace, values: np.ndarray, distance: float) -> tuple[str, ...]:
    """Return the warnings for a sound's values (P,) in physical units; each is a text without a full stop.

    `distance` is that of the sound's features, see src.models.feature_distribution; NaN if it is unknown. A value at
    the end of a continuous parameter's range may stand for a value beyond it.
    """
    unit = space.normalize(np.asarray(values, np.float64)[None])[0]
    at_edge = []
    for spec, fraction in zip(space, unit, strict=True):
        if spec.kind == "continuous" and not _EDGE < fraction < 1.0 - _EDGE:
            at_edge.append(spec.name)
    found = [UNLIKE] if distance > 1 else []
    if at_edge:
        found.append(f"{AT_EDGE}: {', '.join(at_edge)}")
    return tuple(found)
