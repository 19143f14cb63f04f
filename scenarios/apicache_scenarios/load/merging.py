"""Several processes' blocks of one turn as one: counts are added, percentiles are never averaged."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from apicache_scenarios.load.recording import Histogram
from apicache_scenarios.load.result import Block, Outcome, Series, packed, unpacked


def merged_block(parts: Sequence[Block]) -> Block:
    """One block of several that ran at the same time; its seconds are from the first start to the last end."""
    first = parts[0]
    if len(parts) == 1:
        return first
    started = min(part.started for part in parts)
    lags = [part.lag for part in parts if part.lag is not None]
    keys, sent = _merged_trace(parts)
    return Block(
        number=first.number,
        round=first.round,
        arm=first.arm,
        pass_=first.pass_,
        stage=first.stage,
        started=started,
        seconds=max(part.started + part.seconds for part in parts) - started,
        planned=None if first.planned is None else sum(part.planned or 0 for part in parts),
        series=_merged_series(part.series for part in parts),
        errors=added(part.errors for part in parts),
        dropped=sum(part.dropped for part in parts),
        withheld=sum(part.withheld for part in parts),
        lag=merged_text(lags) if lags else None,
        upstream_calls=sum(part.upstream_calls for part in parts),
        keys=keys,
        sent=sent,
    )


def merged_histogram(encoded: Iterable[str]) -> Histogram:
    """All samples of encoded histograms."""
    return Histogram.merged(Histogram.decoded(each) for each in encoded)


def merged_text(encoded: Iterable[str]) -> str:
    """The same, encoded."""
    return merged_histogram(encoded).encoded()


def added(errors: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Failed requests by operation and class, added up."""
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for each in errors:
        for operation, counts in each.items():
            total[operation].update(counts)
    return {operation: dict(counts.most_common()) for operation, counts in total.items()}


def _merged_series(parts: Iterable[Sequence[Series]]) -> tuple[Series, ...]:
    alike: dict[tuple[str, Outcome], list[Series]] = {}
    for part in parts:
        for series in part:
            alike.setdefault((series.operation, series.outcome), []).append(series)
    return tuple(
        Series(
            operation=operation,
            outcome=outcome,
            latency=merged_text(each.latency for each in several),
            service_time=_merged_service(several),
        )
        for (operation, outcome), several in alike.items()
    )


def _merged_service(several: Sequence[Series]) -> str | None:
    given = [each.service_time for each in several if each.service_time is not None]
    return merged_text(given) if given else None


def _merged_trace(parts: Sequence[Block]) -> tuple[str | None, str | None]:
    pairs = sorted(
        pair
        for part in parts
        if part.keys is not None and part.sent is not None
        for pair in zip(unpacked(part.sent), unpacked(part.keys), strict=True)
    )
    if not pairs:
        return None, None
    return packed(key for _, key in pairs), packed(at for at, _ in pairs)
