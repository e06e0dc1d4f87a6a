"""95 % intervals of test results, and the number of digits that are meaningful."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

LEVEL = 0.95
DRAWS = 2000  # so that an end of an interval is accurate to about 3 % of its width
_SEED = 0  # so that intervals are reproducible, and all models are compared on the same draws
_LEAST_DIGITS = 2  # of a value on a logarithmic scale, however wide its interval
_GROUPS = 2000  # a larger split is drawn in this many groups of neighbours, which bounds memory and time

Interval = tuple[float, float]


def resampled_means(values: np.ndarray) -> np.ndarray:
    """Return the means (DRAWS, K) of values (n, K) over n sounds that are resampled with replacement.

    A draw takes the same sounds in all columns, so the interval of a ratio follows from ratios of means.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, chapter 6.
    """
    values = np.asarray(values, np.float64)
    if len(values) > _GROUPS:
        edges = np.linspace(0, len(values), _GROUPS + 1).astype(int)
        values = np.add.reduceat(values, edges[:-1], axis=0) / np.diff(edges)[:, None]
    return _times_drawn(len(values)) @ values / len(values)


@lru_cache(maxsize=1)
def _times_drawn(count: int) -> np.ndarray:
    """Return how often each of `count` sounds occurs in each draw, (DRAWS, count) float64."""
    drawn = np.random.default_rng(_SEED).integers(count, size=(DRAWS, count)) + count * np.arange(DRAWS)[:, None]
    return np.bincount(drawn.ravel(), minlength=DRAWS * count).reshape(DRAWS, count).astype(np.float64)


def interval(resampled: np.ndarray, count: int) -> Interval | None:
    """Return the 95 % interval of a result from its values (DRAWS,) over resampled sounds; None for a single sound.

    It is the bootstrap percentile interval, expanded for few sounds, where plain percentiles cover too little.
    Source: Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69(4), 2015.
    """
    if count < 2 or not np.isfinite(resampled).all():
        return None
    tail = ndtr(math.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - LEVEL) / 2))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def proportion_interval(hits: int, count: int) -> Interval:
    """Return the 95 % interval of hits / count, which unlike a bootstrap's is not empty if all or none are hits.

    Source: Wilson, Probable Inference, Journal of the American Statistical Association 22(158), 1927.
    """
    z, share = ndtri((1 + LEVEL) / 2), hits / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def places(value: float, known: Interval | None, least: int | None = None) -> int:
    """Return the number of meaningful decimal places of a result, negative for tens and hundreds.

    The last digit is the one that half the interval's width changes. At least `least` places are shown, by default
    those of two significant digits.
    """
    if least is None:
        least = 1 - _exponent(value) if value else 0
    half = (known[1] - known[0]) / 2 if known else 0.0
    return max(least, -_exponent(half)) if half > 0 else least


def rounded(value: float | None, known: Interval | None, least: int | None = None) -> str:
    """Return a result with the digits that are meaningful by its 95 % interval, or a dash for None."""
    if value is None or not math.isfinite(value):  # of a network that diverged
        return "-" if value is None else str(value)
    return _format(value, places(value, known, least))


def written_interval(value: float | None, known: Interval | None, least: int | None = None) -> str:
    """Return the 95 % interval of a result with as many decimal places as the result, or a dash for None."""
    if value is None or known is None:
        return "-"
    decimals = places(value, known, least)
    return "..".join(_format(end, decimals) for end in known)


def written_estimate(value: float, low: float, high: float, is_ratio: bool = False) -> tuple[str, str]:
    """Return a value and "[low, high]", the interval of its true value, with the digits that the width leaves.

    Rounding moves a number by at most a sixth of half the width. With `is_ratio`, for a logarithmic scale, half the
    width is a ratio, and all three have equally many significant digits instead of decimal places. The second text is
    empty if there is no interval.
    """
    half = (high - low) / 2
    if not math.isfinite(half):
        return significant(value, 4), ""
    if is_ratio and low > 0:
        digits = _LEAST_DIGITS
        if high > low:
            digits = max(digits, 1 - _exponent((math.sqrt(high / low) - 1) / 3))
        texts = [significant(number, digits) for number in (value, low, high)]
    elif half > 0:
        texts = [_format(number, -_exponent(half / 3)) for number in (value, low, high)]
    else:
        texts = [significant(number, 4) for number in (value, low, high)]
    return texts[0], f"[{texts[1]}, {texts[2]}]"


def significant(value: float, digits: int) -> str:
    """Return a figure with at most `digits` significant digits; below ten digits without an exponent."""
    return f"{float(f'{value:.{digits}g}'):.10g}"


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)) + 1e-9)  # 0.1 may be stored as slightly less


def _format(value: float, decimals: int) -> str:
    if value and not -5 < _exponent(value) < 7:
        return f"{value:.{max(0, decimals + _exponent(value))}e}"
    return f"{round(value, decimals) + 0.0:.{max(0, decimals)}f}"  # + 0.0: no -0
