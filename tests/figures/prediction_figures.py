"""What the prediction of the next day's calls is worth on seeded traces, and how fast a miss-ratio curve is."""

import statistics
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from turns import Figure

from apicache_scenarios.prediction.backtest import backtest, gap_closed
from apicache_scenarios.prediction.miss_ratio import MissRatios
from apicache_scenarios.prediction.synthetic import Traffic, synthetic

TOP: Final = 200
"""A tenth of the calls that are asked for at any time."""
SEEDS: Final = (1, 2, 3, 4, 5)
DRIFTS: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
BOUND: Final = 0.5
REQUESTS: Final = 100_000
CURVE_SECONDS: Final = 1.0


def closed(traffic: Traffic) -> tuple[float, float]:
    """The part of the gap that our ranking closes, and that knowing the popularity at the split would close."""
    made = synthetic(traffic)
    found = backtest(made.history, top=TOP)
    after = made.history.uses.between(found.split, found.end)
    true = np.isin(after.calls, made.most_popular(found.split, TOP)).mean()
    count, oracle = (found.outcome(name).coverage for name in ("count", "oracle"))
    return found.gap_closed or 0.0, gap_closed(float(true), count, oracle) or 0.0


def drift_figures() -> list[Figure]:
    """Both kinds of drift: spread over the day, and all at the midnight that splits the trace.

    What changes after the split nobody can tell from before it: the part that the true popularity at the split closes
    bounds what any ranking may expect. Where that is below the bound, the row has none.
    """
    figures = []
    for changes, when in ((24, "through the day"), (1, "at midnight, when the trace is split")):
        for drift in DRIFTS:
            runs = [closed(Traffic(drift=drift, seed=seed, changes=changes)) for seed in SEEDS]
            figures.append(_row(f"{drift:.0%} of the calls replaced daily, {when}", runs, is_bound=changes > 1))
    return figures


def _row(traffic: str, runs: Sequence[tuple[float, float]], *, is_bound: bool) -> Figure:
    ours, true = (statistics.median(values) for values in zip(*runs, strict=True))
    worst, most = min(runs)[0], max(runs)[0]
    return Figure(
        f"backtest, Zipf 0.99, {traffic}: part of the gap between the top {TOP} by count and the oracle that is closed",
        f"{ours:.0%} ({worst:.0%} to {most:.0%}; the true popularity at the split: {true:.0%})",
        f"at least {BOUND:.0%}" if is_bound else "no bound",
        ours >= BOUND or not is_bound,
    )


def curve() -> Figure:
    """Exact LRU miss ratios at all sizes."""
    chance = np.random.default_rng(1)
    weights = np.cumsum(1 / np.arange(1, 10_001) ** 0.99)
    keys = np.searchsorted(weights / weights[-1], chance.random(REQUESTS)).tolist()
    seconds = []
    for _ in range(5):
        started = time.process_time()
        MissRatios(keys).curve()
        seconds.append(time.process_time() - started)
    taken = statistics.median(seconds)
    return Figure(
        f"exact LRU miss-ratio curve for all sizes, {REQUESTS:,} requests",
        f"{taken:.2f} s",
        f"under {CURVE_SECONDS:g} s",
        taken < CURVE_SECONDS,
    )


def measure() -> list[Figure]:
    """All rows of prediction."""
    return [*drift_figures(), curve()]
