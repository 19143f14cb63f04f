"""Blocks added up: the figures of an arm, a pass, an operation."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from apicache_scenarios.load.merging import merged_histogram
from apicache_scenarios.load.recording import Histogram
from apicache_scenarios.load.result import OUTCOMES, Block, Figures, Outcome, Series


class Total:
    """What blocks of one arm, or one operation's part of them, add up to."""

    def __init__(self, blocks: Sequence[Block], operation: str | None = None) -> None:
        self._blocks = blocks
        self._operation = operation
        self._by_outcome = {outcome: self._histogram([outcome], _latency) for outcome in OUTCOMES}
        self.errors: Counter[str] = Counter()
        for block in blocks:
            for name, classes in block.errors.items():
                if operation in (None, name):
                    self.errors.update(classes)

    @property
    def answered(self) -> int:
        """Requests with an answer."""
        return sum(map(len, self._by_outcome.values()))

    @property
    def requests(self) -> int:
        """Requests that ended."""
        return self.answered + self.errors.total()

    @property
    def seconds(self) -> float:
        """Wall time under load."""
        return sum(block.seconds for block in self._blocks)

    @property
    def dropped(self) -> int:
        """Requests that were due and never sent."""
        return sum(block.dropped for block in self._blocks)

    @property
    def calls(self) -> int:
        """Upstream calls; of one operation its misses."""
        if self._operation is not None:
            return self.count("miss")
        return sum(block.upstream_calls for block in self._blocks)

    def count(self, outcome: Outcome) -> int:
        """Answered requests with an outcome."""
        return len(self._by_outcome[outcome])

    def latency(self, outcomes: Iterable[Outcome] = OUTCOMES) -> Histogram:
        """From the intended send."""
        return Histogram.merged(self._by_outcome[outcome] for outcome in outcomes)

    def service_time(self, outcomes: Iterable[Outcome] = OUTCOMES) -> Histogram:
        """From the send."""
        return self._histogram(outcomes, _service_time)

    def lag(self) -> Histogram:
        """Actual minus intended send."""
        return merged_histogram(block.lag for block in self._blocks if block.lag is not None)

    def figures(self, upstream_calls: int | None = None) -> Figures:
        """All of it; `upstream_calls` by the upstream's own count, where there is one."""
        whole, service, lag = self.latency().summary(), self.service_time().summary(), self.lag().summary()
        hits, misses = (self._by_outcome[outcome].summary() for outcome in ("hit", "miss"))
        return Figures(
            requests=self.requests,
            hit_rate=hits.count / self.requests if self.requests else 0.0,
            throughput_rps=whole.count / self.seconds if self.seconds else 0.0,
            p50_ms=whole.p50_ms,
            p90_ms=whole.p90_ms,
            p95_ms=whole.p95_ms,
            p99_ms=whole.p99_ms,
            p999_ms=whole.p999_ms,
            max_ms=whole.max_ms,
            mean_ms=whole.mean_ms,
            errors=self.errors.total(),
            error_classes=dict(self.errors.most_common()),
            hits=hits.count,
            misses=misses.count,
            coalesced=self.count("coalesced"),
            hit_p50_ms=hits.p50_ms,
            hit_p95_ms=hits.p95_ms,
            hit_p99_ms=hits.p99_ms,
            miss_p50_ms=misses.p50_ms,
            service_p50_ms=service.p50_ms,
            service_p95_ms=service.p95_ms,
            service_p99_ms=service.p99_ms,
            lag_p50_ms=lag.p50_ms,
            lag_p99_ms=lag.p99_ms,
            lag_max_ms=lag.max_ms,
            dropped=self.dropped,
            withheld=sum(block.withheld for block in self._blocks),
            upstream_calls=self.calls if upstream_calls is None else upstream_calls,
            seconds=self.seconds,
        )

    def _histogram(self, outcomes: Iterable[Outcome], read: Callable[[Series], str]) -> Histogram:
        wanted = set(outcomes)
        return merged_histogram(
            read(series)
            for block in self._blocks
            for series in block.series
            if series.outcome in wanted and self._operation in (None, series.operation)
        )


def operations_of(blocks: Iterable[Block]) -> list[str]:
    """The operations that were asked for, by name."""
    return sorted(
        {series.operation for block in blocks for series in block.series}
        | {name for block in blocks for name in block.errors if name}
    )


def _latency(series: Series) -> str:
    return series.latency


def _service_time(series: Series) -> str:
    return series.latency if series.service_time is None else series.service_time
