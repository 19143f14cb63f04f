"""A run's charts: how latencies are distributed, how the run went, and how the hit rate depends on the cache's size."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from apicache_scenarios.load.figures import Total
from apicache_scenarios.load.result import BenchResult, Block, Figures
from apicache_scenarios.reporting.charts import Chart, Line
from apicache_scenarios.reporting.miss_ratio import MissRatio, Point
from apicache_scenarios.reporting.scales import fitting, linear, logarithmic, shares
from apicache_scenarios.reporting.words import Column, columns, duration, percent

_BINS: Final = 10
"""Of the distribution, for each power of ten."""


def distribution(result: BenchResult) -> Chart | None:
    """The share of requests at each latency, on a logarithmic axis; None without a sample."""
    shown = columns(result)
    lines = [Line(column.heading, place, _shares(_blocks(result, column))) for place, column in enumerate(shown)]
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    told = "; ".join(
        f"{column.heading}: p50 {duration(column.figures.p50_ms)}, p99 {duration(column.figures.p99_ms)}"
        for column in shown
    )
    return Chart(
        title="Latency distribution",
        told=f"Share of requests by latency. {told}",
        x=logarithmic([x for line in lines for x, _ in line.points], _whole_duration),
        y=linear([y for line in lines for _, y in line.points], lambda value: f"{value:.0%}"),
        x_label="latency; share of an arm's requests",
        lines=lines,
        steps=True,
    )


def _blocks(result: BenchResult, column: Column) -> list[Block]:
    return [block for block in result.blocks if (block.arm, block.pass_) == (column.arm, column.pass_)]


def _shares(blocks: Sequence[Block]) -> list[tuple[float, float]]:
    """(a bin's lower bound in ms, its share), without gaps, and an end."""
    binned: Counter[int] = Counter()
    for nanoseconds, count in Total(blocks).latency().counts():
        binned[math.floor(math.log10(max(nanoseconds, 1) / 1e6) * _BINS)] += count
    if not binned:
        return []
    total = binned.total()
    return [(10 ** (bin_ / _BINS), binned[bin_] / total) for bin_ in range(min(binned), max(binned) + 2)]


def timeline(result: BenchResult) -> Iterator[Chart]:
    """Throughput, latency and hit rate, block by block; errors where there are some."""
    figures = {block.number: Total([block]).figures() for block in result.blocks}
    if not figures:
        return
    latest = max(block.started + block.seconds for block in result.blocks)
    x = linear([latest], lambda value: f"{value:g} s")

    def lines(name: str) -> list[Line]:
        return list(_by_block(result, figures, name))

    throughput, p50, p95 = lines("throughput_rps"), lines("p50_ms"), lines("p95_ms")
    label = "time since the start"
    yield Chart(
        title="Requests a second",
        told=f"Answered requests a second in each block, {_ranges(throughput, lambda value: f'{value:,.0f}')}",
        x=x,
        y=fitting(_ys(throughput), lambda value: f"{value:,.0f}"),
        x_label=label,
        lines=throughput,
    )
    for title, shown in (("Latency p50", p50), ("Latency p95", p95)):
        told = f"{title} of each block, {_ranges(shown, duration)}"
        yield Chart(title, told, x, fitting(_ys(shown), _whole_duration), label, shown)
    rates = lines("hit_rate")
    told = f"Share of requests that the cache answered in each block, {_ranges(rates, percent)}"
    yield Chart("Hit rate", told, x, shares(lambda value: f"{value:.0%}"), label, rates)
    failed = lines("errors")
    if any(_ys(failed)):
        told = f"Failed requests in each block, {_ranges(failed, lambda value: f'{value:g}')}"
        yield Chart("Errors", told, x, linear(_ys(failed), lambda value: f"{value:g}"), label, failed)


def _by_block(result: BenchResult, figures: dict[int, Figures], name: str) -> Iterator[Line]:
    for place, column in enumerate(columns(result)):
        points = [
            (block.started + block.seconds / 2, float(value))
            for block in _blocks(result, column)
            if (value := getattr(figures[block.number], name)) is not None
        ]
        yield Line(column.heading, place, points, dots=True)


def sizes(found: MissRatio) -> Chart:
    """The hit rate against the number of entries; marked is what the cache held."""
    lines = [Line("no ttl", 0, _curve(found.points))]
    lines += [
        Line(f"ttl {duration(each.ttl * 1000)}", place, _curve(each.points))
        for place, each in enumerate(found.by_ttl, start=1)
    ]
    return Chart(
        title="Miss ratio against cache size",
        told=f"Miss ratio of an LRU cache by its entries. {' '.join(found.sentences)}",
        x=logarithmic([max(1, point.entries) for point in found.points], lambda value: f"{value:,.0f}"),
        y=shares(lambda value: f"{value:.0%}"),
        x_label="entries that fit; dotted: held in this run",
        lines=lines,
        marked_x=float(max(1, found.held)),
    )


def _curve(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(float(max(1, point.entries)), 1 - point.hit_rate) for point in points]


def _ys(lines: Iterable[Line]) -> list[float]:
    return [y for line in lines for _, y in line.points]


def _ranges(lines: Sequence[Line], name: object) -> str:
    """`cached 120 to 900; direct 80 to 95`."""
    written = name if callable(name) else str
    return "; ".join(
        f"{line.name} {written(min(y for _, y in line.points))} to {written(max(y for _, y in line.points))}"
        for line in lines
        if line.points
    )


def _whole_duration(milliseconds: float) -> str:
    """`10 µs`, `1 ms`: a tick's name."""
    if milliseconds < 0.0009995:  # noqa: PLR2004 - below a microsecond
        return f"{milliseconds * 1e6:g} ns"
    if milliseconds < 0.9995:  # noqa: PLR2004 - below a millisecond
        return f"{milliseconds * 1000:g} µs"
    return f"{milliseconds:g} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:g} s"  # noqa: PLR2004 - a second
