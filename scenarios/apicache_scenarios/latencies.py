"""Latency samples and their exact percentiles."""

import math
from array import array
from collections.abc import Sequence

import msgspec


class LatencySummary(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles in milliseconds: always p50 <= p95 <= p99 <= max, each of them a measured sample.

    None without samples, never a made-up zero.
    """

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


class Latencies:
    """Every sample of a run, in seconds: 8 bytes each, no rounding and no buckets."""

    def __init__(self) -> None:
        self._seconds = array("d")

    def __len__(self) -> int:
        return len(self._seconds)

    def record(self, seconds: float) -> None:
        """Add a sample."""
        self._seconds.append(seconds)

    def summary(self) -> LatencySummary:
        """The percentiles of all samples so far."""
        if not self._seconds:
            return LatencySummary()
        ordered = sorted(self._seconds)
        p50, p95, p99, highest = (nearest_rank(ordered, percent) * 1000 for percent in (50, 95, 99, 100))
        return LatencySummary(p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=highest)


def nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """The smallest sample that at least `percent` (1 to 100) of the sorted, non-empty samples do not exceed."""
    return ordered[math.ceil(percent * len(ordered) / 100) - 1]
