"""Latencies: one append each while the load runs, folded into an HDR histogram afterwards.

Histograms (https://github.com/HdrHistogram/HdrHistogram_py) keep three significant digits from 1 ns to an hour, can be
sent and merged, and adding them adds counts: percentiles are never averaged.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Self

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from hdrh.histogram import HdrHistogram

_DIGITS: Final = 3
_HIGHEST: Final = 3_600_000_000_000
"""Nanoseconds; what took longer counts as an hour."""
_SUB_BITS: Final = 11
"""Sub-buckets of three digits: 2048."""
PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0, 99.9)


class LatencySummary(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; always p50 <= p90 <= p95 <= p99 <= p999 <= max. None without samples, never a made-up zero."""

    count: int = 0
    min_ms: float | None = None
    mean_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    max_ms: float | None = None


class Latencies:
    """Samples of one kind, in nanoseconds."""

    __slots__ = ("_samples", "record")

    def __init__(self) -> None:
        self._samples = array("q")
        self.record = self._samples.append
        """Add a sample, in whole nanoseconds."""

    def __len__(self) -> int:
        return len(self._samples)

    def histogram(self) -> "Histogram":
        """The samples so far."""
        return Histogram.of(self._samples)


class Histogram:
    """Counts of latencies, mergeable."""

    def __init__(self, counts: "HdrHistogram | None" = None) -> None:
        """Without counts: no samples."""
        if counts is None:
            from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - for benchmarks only

            counts = HdrHistogram(1, _HIGHEST, _DIGITS)
        self._counts = counts

    @classmethod
    def of(cls, samples: "array[int]") -> Self:
        """Samples in nanoseconds, folded all at once."""
        folded = cls()
        folded.add(_folded(samples))
        return folded

    @classmethod
    def decoded(cls, encoded: str) -> Self:
        """A histogram as `encoded` wrote it."""
        from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - as above

        return cls(HdrHistogram.decode(encoded))

    @classmethod
    def merged(cls, histograms: "Iterable[Histogram]") -> Self:
        """All samples of several."""
        whole = cls()
        for each in histograms:
            if len(each):
                whole._counts.add(each._counts)  # noqa: SLF001 - of this class
        return whole

    def add(self, counted: Iterable[tuple[int, int]]) -> None:
        """Add (nanoseconds, how many samples)."""
        for value, count in counted:
            self._counts.record_value(value, count)

    def counts(self) -> list[tuple[int, int]]:
        """(nanoseconds, samples) of each bucket that has some, in order; the bucket's greatest value."""
        buckets = self._buckets()
        return [(self._greatest(place), int(buckets[place])) for place in buckets.nonzero()[0].tolist()]

    def _buckets(self) -> "np.ndarray":
        """How many samples each bucket has; HdrHistogram's own walk over them takes 100 ms."""
        import numpy as np  # noqa: PLC0415 - for benchmarks only

        return np.ctypeslib.as_array(self._counts.counts)

    def _greatest(self, place: int) -> int:
        """The greatest value of a bucket."""
        return int(self._counts.get_highest_equivalent_value(self._counts.get_value_from_index(place)))

    def _middle(self, greatest: int) -> int:
        """The middle of a bucket, by its greatest value; what HdrHistogram's own mean goes by."""
        lowest = int(self._counts.get_lowest_equivalent_value(greatest))
        return lowest + (greatest - lowest + 1) // 2

    def encoded(self) -> str:
        """As text: HdrHistogram's compressed V2 format in base64."""
        return bytes(self._counts.encode()).decode("ascii")

    def __len__(self) -> int:
        return int(self._counts.get_total_count())

    def percentile_ms(self, percent: float) -> float | None:
        """The latency that at least `percent` of the samples do not exceed; None without samples."""
        return self._percentiles_ms((percent,))[0]

    def _percentiles_ms(self, percents: Sequence[float]) -> list[float | None]:
        if not len(self):
            return [None for _ in percents]
        reached = self._buckets().cumsum()
        greatest = float(self._counts.get_max_value())
        wanted = [max(1, int(percent * len(self) / 100 + 0.5)) for percent in percents]
        places = reached.searchsorted(wanted).tolist()
        return [min(float(self._greatest(place)), greatest) / 1e6 for place in places]

    def summary(self) -> LatencySummary:
        """The usual figures."""
        if not len(self):
            return LatencySummary()
        p50, p90, p95, p99, p999 = self._percentiles_ms(PERCENTILES)
        return LatencySummary(
            count=len(self),
            min_ms=float(self._counts.get_min_value()) / 1e6,
            mean_ms=sum(self._middle(value) * count for value, count in self.counts()) / len(self) / 1e6,
            p50_ms=p50,
            p90_ms=p90,
            p95_ms=p95,
            p99_ms=p99,
            p999_ms=p999,
            max_ms=float(self._counts.get_max_value()) / 1e6,
        )


def _folded(samples: "array[int]") -> Iterable[tuple[int, int]]:
    """(a value of the bucket, samples in it), buckets as HdrHistogram has them: 2048 of each power of two's width."""
    import numpy as np  # noqa: PLC0415 - for benchmarks only

    if not samples:
        return []
    values = np.clip(np.frombuffer(samples, dtype=np.int64), 1, _HIGHEST)
    width = np.maximum(0, np.frexp(values.astype(np.float64))[1] - _SUB_BITS).astype(np.int64)
    lows, counts = np.unique((values >> width) << width, return_counts=True)
    return zip(lows.tolist(), counts.tolist(), strict=True)
