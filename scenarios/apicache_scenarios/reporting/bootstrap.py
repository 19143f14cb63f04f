"""Confidence intervals from blocks of requests.

Requests of one block saw the same moments of a machine, so they are no independent samples: whole blocks are drawn,
with replacement. Intervals are percentile intervals, widened for few blocks as T. C. Hesterberg, "What
Teachers Should Know About the Bootstrap" (The American Statistician, 2015), shows.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np

RESAMPLES: Final = 2000
FEWEST_BLOCKS: Final = 5
"""Fewer say nothing of how far they vary."""


class Counted(NamedTuple):
    """Blocks as arrays, a row or a number for each; `values` are the latencies that columns of `counts` stand for."""

    values: "np.ndarray"
    counts: "np.ndarray"
    requests: "np.ndarray"
    hits: "np.ndarray"
    calls: "np.ndarray"
    errors: "np.ndarray"
    seconds: "np.ndarray"


Statistic = Callable[[Counted, "np.ndarray"], "np.ndarray"]
"""The figure of each resample: its weights tell how often each block was drawn. NaN where there is none."""


class Interval(NamedTuple):
    """A figure's change: its estimate, and the interval that holds it with the asked confidence."""

    change: float
    low: float
    high: float


def percentile(percent: float) -> Statistic:
    """The latency that `percent` of the requests do not exceed, in ms."""

    def statistic(counted: Counted, weights: "np.ndarray") -> "np.ndarray":
        import numpy as np  # noqa: PLC0415 - for comparisons only

        if not counted.counts.size:
            return np.full(len(weights), np.nan)
        running = np.cumsum(counted.counts, axis=1)
        total = weights @ running[:, -1]
        target = np.ceil(total * percent / 100)
        low, high = np.zeros(len(weights), np.int64), np.full(len(weights), len(counted.values) - 1)
        while (low < high).any():  # a binary search in every resample at once
            middle = (low + high) // 2
            is_reached = (weights * running[:, middle].T).sum(axis=1) >= target
            low, high = np.where(is_reached, low, middle + 1), np.where(is_reached, middle, high)
        return np.where(total > 0, counted.values[low] / 1e6, np.nan)

    return statistic


def share(of: str, among: str) -> Statistic:
    """One counter's sum over another's, by their names in `Counted`."""

    def statistic(counted: Counted, weights: "np.ndarray") -> "np.ndarray":
        part, whole = weights @ getattr(counted, of), weights @ getattr(counted, among)
        return _divided(part, whole)

    return statistic


def throughput(counted: Counted, weights: "np.ndarray") -> "np.ndarray":
    """Answered requests a second under load."""
    return _divided(weights @ counted.counts.sum(axis=1), weights @ counted.seconds)


def _divided(part: "np.ndarray", whole: "np.ndarray") -> "np.ndarray":
    import numpy as np  # noqa: PLC0415 - as above

    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def drawn(strata: Sequence[int], seed: int, resamples: int = RESAMPLES) -> "np.ndarray":
    """How often each resample has each block; `strata` are numbers of blocks that are drawn among themselves."""
    import numpy as np  # noqa: PLC0415 - as above

    generator = np.random.default_rng(seed)
    parts = [generator.multinomial(size, [1 / size] * size, size=resamples) for size in strata]
    return np.concatenate(parts, axis=1).astype(np.float64)


def interval(estimate: float, resampled: "np.ndarray", blocks: int, confidence: float) -> Interval:
    """The interval of an estimate, from its resamples."""
    import numpy as np  # noqa: PLC0415 - as above

    tail = _tail(blocks, confidence)
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def _tail(blocks: int, confidence: float) -> float:
    """The share to cut off at either end: normal tails at t's quantile, times the root of n / (n - 1)."""
    quantile = _t_quantile(1 - (1 - confidence) / 2, blocks - 1)
    return NormalDist().cdf(-math.sqrt(blocks / (blocks - 1)) * quantile)


def _t_quantile(probability: float, freedom: int) -> float:
    """Student's t: Abramowitz and Stegun 26.7.5, an expansion about the normal quantile."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))
