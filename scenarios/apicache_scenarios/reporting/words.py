"""A run in words and rows, for the formats that people read."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from apicache_scenarios.load.result import ArmResult, BenchResult, Figures, ThresholdResult
from apicache_scenarios.reporting.costs import CostModel

_SECOND: Final = 1000.0
"""Milliseconds."""
_DIGITS: Final = ((1000.0, ",.0f"), (10.0, ".1f"), (1.0, ".2f"))


class Column(NamedTuple):
    """One pass of one arm."""

    heading: str
    arm: str
    pass_: str
    of: ArmResult
    figures: Figures


def columns(result: BenchResult) -> list[Column]:
    """The arms' passes, in the plan's order."""
    return [
        Column(f"{name}, {each}" if len(arm.passes) > 1 else name, name, each, arm, figures)
        for name, arm in result.arms.items()
        for each, figures in arm.passes.items()
    ]


def percent(share: float | None) -> str:
    """`78.2%`."""
    return "-" if share is None else f"{share:.1%}"


def duration(milliseconds: float | None) -> str:
    """`9.3 µs`, `25.6 ms`, `1.50 s`."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1:
        return f"{_short(milliseconds * 1000)} µs"
    return f"{_short(milliseconds)} ms" if milliseconds < _SECOND else f"{_short(milliseconds / _SECOND)} s"


def times(factor: float | None) -> str:
    """`5,312x`."""
    return "-" if factor is None else f"{_short(factor)}x"


def dollars(amount: float | None) -> str:
    """`$1,234.50`; less than a cent with two digits that say something."""
    if amount is None:
        return "-"
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    return f"{sign}${size:,.2f}" if size >= 0.01 or not size else f"{sign}${size:.2g}"  # noqa: PLR2004 - a cent


def size(count: float | None) -> str:
    """`310 KiB`, `1.2 GiB`."""
    if count is None:
        return "-"
    power = min(3, int(math.log(max(count, 1), 1024)))
    return f"{_short(count / 1024**power) if power else f'{count:.0f}'} {('B', 'KiB', 'MiB', 'GiB')[power]}"


def _short(number: float) -> str:
    return format(number, next((form for bound, form in _DIGITS if number >= bound), ".3g"))


def _count(number: float) -> str:
    return f"{number:,}"


class Row(NamedTuple):
    """A label, and a cell for each column."""

    label: str
    cells: list[str]


def rows(shown: Sequence[Column]) -> Iterator[Row]:
    """The table of all arms."""
    for label, name, form in _FIGURES:
        values = [getattr(column.figures, name) for column in shown]
        if name not in _ONLY_IF_ANY or any(values):
            yield Row(label, [form(value) for value in values])
    for name in sorted({name for column in shown for name in column.figures.error_classes}):
        yield Row(f"of these {name}", [_count(column.figures.error_classes.get(name, 0)) for column in shown])


_ONLY_IF_ANY: Final = frozenset(
    {"coalesced", "dropped", "withheld", "lag_p99_ms", "hit_p50_ms", "hit_p99_ms", "service_p50_ms", "service_p99_ms"}
)
_FIGURES: Final[Sequence[tuple[str, str, Callable[[float], str]]]] = (
    ("requests", "requests", _count),
    ("hit rate", "hit_rate", percent),
    ("upstream calls", "upstream_calls", _count),
    ("waited for another's call", "coalesced", _count),
    ("requests a second", "throughput_rps", lambda value: f"{value:,.1f}"),
    ("latency p50", "p50_ms", duration),
    ("latency p95", "p95_ms", duration),
    ("latency p99", "p99_ms", duration),
    ("latency max", "max_ms", duration),
    ("service time p50", "service_p50_ms", duration),
    ("service time p99", "service_p99_ms", duration),
    ("generator lag p99", "lag_p99_ms", duration),
    ("hits p50", "hit_p50_ms", duration),
    ("hits p99", "hit_p99_ms", duration),
    ("misses p50", "miss_p50_ms", duration),
    ("dropped", "dropped", _count),
    ("withheld by max_calls", "withheld", _count),
    ("errors", "errors", _count),
)


def headline(result: BenchResult) -> list[tuple[str, str]]:
    """What the run is about: (figure, what it is)."""
    shown = [
        (percent(result.api_call_reduction), "fewer upstream calls", result.api_call_reduction),
        (times(result.speedup_hit_p50), "faster hits, by p50", result.speedup_hit_p50),
        (times(result.speedup_p50), "faster requests, by p50", result.speedup_p50),
    ]
    found = [(figure, what) for figure, what, value in shown if value is not None]
    cached = next((arm for arm in result.arms.values() if arm.uses_cache), None)
    return [*([(percent(cached.hit_rate), "hit rate")] if cached is not None else []), *found]


def warnings(result: BenchResult) -> list[str]:
    """What a reader has to know before any figure."""
    told = []
    if result.interrupted:
        told.append("Interrupted: the figures are of the requests that had ended.")
    if result.aborted:
        told.append("Aborted by a threshold: the figures are of the requests that had ended.")
    if not result.validity.valid:
        told.append(f"Invalid, the generator did not keep up: {'; '.join(result.validity.reasons)}.")
    return told


def measured(threshold: ThresholdResult) -> str:
    """What a threshold met: seconds for times, 0 to 1 for shares."""
    return "no samples" if threshold.measured is None else f"{threshold.measured:.6g}"


def cost_lines(cost: CostModel) -> Iterator[str]:
    """The cost model as sentences, then its assumptions."""
    if cost.saved is not None:
        yield f"The run spent {dollars(cost.spent)} on upstream calls and saved {dollars(cost.saved)}."
    month = cost.per_month
    if month is not None:
        yield (
            f"A month at {month.rate:.6g} requests a second: {dollars(month.without_cache)} without the cache, "
            f"{dollars(month.with_cache)} with it; saved {dollars(month.saved)}."
        )


def notes(result: BenchResult) -> Iterator[str]:
    """How it was measured."""
    environment = result.environment
    source = environment.get("upstream", environment.get("file", "not told"))
    yield f"Upstream: {source}; its calls are counted by the {result.calls_counted_by}."
    for name, arm in result.arms.items():
        yield f"Arm {name}: {_cache(arm)}"
    loop = str(environment.get("loop", ""))
    yield f"Load: {environment.get('executor', 'not told')}; {_LOOPS.get(loop, loop)}."
    yield (
        f"Keys: {environment.get('keys')} over {environment.get('population', 0):,}, seed {environment.get('seed')}. "
        f"Arms took turns (ABBA), {environment.get('blocks')} blocks each. Percentiles are of answered requests."
    )
    yield (
        f"Machine: {environment.get('cpu')}, {environment.get('cpu_count')} CPUs, {environment.get('platform')}, "
        f"{environment.get('python')}; started {environment.get('started_at')}."
    )


_CLOSED: Final = "a closed loop, in which a slow answer delays the requests behind it"
_OPEN: Final = "an open loop, in which latency counts from when a request was due"
_LOOPS: Final = {"closed": _CLOSED, "open": _OPEN, "closed and open": f"{_OPEN}, and {_CLOSED}"}


def _cache(arm: ArmResult) -> str:
    if not arm.uses_cache:
        thinned = f"; of the due requests {arm.thinned_to:.1%}, evenly picked" if arm.thinned_to < 1 else ""
        return f"no cache{thinned}."
    state = arm.cache.get("at_start", "not told")
    by_tier = ", ".join(f"{count:,} by {tier}" for tier, count in arm.cache.get("hits_by_tier", {}).items())
    return f"cache {state} at the start; hits {by_tier or 'none'}; {arm.cache.get('entries_stored', 0):,} stored."
