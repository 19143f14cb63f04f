"""A benchmark's result as tables and notes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from apicache_cli.bench_figures import milliseconds, percent, times
from apicache_scenarios.load.result import ArmResult, BenchResult, Figures

# The source document's figures: "Performance Benchmarks" and, for the 0.19 ms, "After Optimization".
SOURCE = {
    "hit rate": "50%",
    "API-call reduction": "50%",
    "throughput": "194.53 req/s",
    "p50": "25.56 ms",
    "p95": "51.16 ms",
    "p50 of hits": "0.19 ms",
    "speed-up of hits": "531x",
}

CLOSED = (
    "a closed loop: a slow answer delays the requests behind it, so waiting that independent callers would meet is not "
    "in these figures."
)
OPEN = "an open loop: latency counts from when a request was due, so a stall shows in all that were due in it."
LOOPS = {
    "closed": CLOSED,
    "open": OPEN,
    "closed and open": f"{OPEN} Stages in {CLOSED}",
}


class Column(NamedTuple):
    """One pass of one arm."""

    heading: str
    arm: ArmResult
    figures: Figures
    is_first: bool


def print_result(console: Console, result: BenchResult) -> None:
    """All of it."""
    columns = list(_columns(result))
    console.print(_table(columns, result))
    operations = sorted({name for arm in result.arms.values() for name in arm.operations})
    if len(operations) > 1:
        console.print(_operations(result, operations))
    if result.thresholds:
        console.print(_thresholds(result))
    for note in _notes(result):
        console.print(note, markup=False, soft_wrap=False)


def _columns(result: BenchResult) -> Iterator[Column]:
    for name, arm in result.arms.items():
        several = len(arm.passes) > 1
        for number, (each, figures) in enumerate(arm.passes.items()):
            yield Column(f"{name}, {each}" if several else name, arm, figures, is_first=number == 0)


def _is_default(result: BenchResult) -> bool:
    return "file" not in result.environment


def _table(columns: Sequence[Column], result: BenchResult) -> Table:
    table = Table()
    table.add_column("")
    beside = _is_default(result)
    for heading in (*(column.heading for column in columns), *(["source document"] if beside else [])):
        table.add_column(heading, justify="right", overflow="fold")
    for label, cells in _rows(columns):
        table.add_row(label, *cells, *([SOURCE.get(label, "")] if beside else []))
    return table


def _rows(columns: Sequence[Column]) -> Iterator[tuple[str, list[str]]]:
    """Label, and a cell for each column."""
    each = [column.figures for column in columns]
    direct = next((column.figures for column in columns if not column.arm.uses_cache), None)
    yield "requests", [f"{one.requests:,}" for one in each]
    yield "hit rate", [percent(one.hit_rate) for one in each]
    yield "upstream calls", [f"{one.upstream_calls:,}" for one in each]
    yield "API-call reduction", [_reduction(column, direct) for column in columns]
    yield "throughput", [f"{one.throughput_rps:,.2f} req/s" for one in each]
    yield "p50", [milliseconds(one.p50_ms) for one in each]
    yield "p95", [milliseconds(one.p95_ms) for one in each]
    yield "p99", [milliseconds(one.p99_ms) for one in each]
    yield "max", [milliseconds(one.max_ms) for one in each]
    if any(one.lag_p99_ms is not None for one in each):
        yield "service time p50", [milliseconds(one.service_p50_ms) for one in each]
        yield "service time p99", [milliseconds(one.service_p99_ms) for one in each]
        yield "generator lag p99", [milliseconds(one.lag_p99_ms) for one in each]
        yield "dropped", [f"{one.dropped:,}" for one in each]
    yield "p50 of hits", [_of_cache(column, column.figures.hit_p50_ms) for column in columns]
    yield "p95 of hits", [_of_cache(column, column.figures.hit_p95_ms) for column in columns]
    yield "p50 of misses", [milliseconds(one.miss_p50_ms) for one in each]
    yield "speed-up (p50)", [_speedup(column, column.figures.p50_ms, direct) for column in columns]
    yield "speed-up of hits", [_speedup(column, column.figures.hit_p50_ms, direct) for column in columns]
    yield "errors", [f"{one.errors:,}" for one in each]
    for name in sorted({name for one in each for name in one.error_classes}):
        yield f"  {name}", [f"{one.error_classes.get(name, 0):,}" for one in each]
    if any(one.withheld for one in each):
        yield "withheld (max_calls)", [f"{one.withheld:,}" for one in each]


def _of_cache(column: Column, value: float | None) -> str:
    return milliseconds(value) if column.arm.uses_cache else ""


def _reduction(column: Column, direct: Figures | None) -> str:
    figures = column.figures
    if not column.arm.uses_cache or direct is None:
        return ""
    if figures.p50_ms is None or direct.p50_ms is None or not direct.upstream_calls:
        return "-"
    return percent(1 - (figures.upstream_calls / figures.requests) / (direct.upstream_calls / direct.requests))


def _speedup(column: Column, ours: float | None, direct: Figures | None) -> str:
    if not column.arm.uses_cache or direct is None:
        return ""
    return times(direct.p50_ms / ours if direct.p50_ms is not None and ours else None)


def _operations(result: BenchResult, names: Sequence[str]) -> Table:
    table = Table(title="By operation", title_justify="left")
    for heading in ("operation", "arm"):
        table.add_column(heading)
    for heading in ("requests", "hit rate", "p50", "p95", "p99", "errors"):
        table.add_column(heading, justify="right")
    for name in names:
        for arm_name, arm in result.arms.items():
            one = arm.operations.get(name)
            if one is not None:
                latencies = [milliseconds(value) for value in (one.p50_ms, one.p95_ms, one.p99_ms)]
                table.add_row(name, arm_name, f"{one.requests:,}", percent(one.hit_rate), *latencies, f"{one.errors:,}")
    return table


def _thresholds(result: BenchResult) -> Table:
    table = Table(title="Thresholds", title_justify="left")
    for heading in ("", "threshold", "arm", "measured", "where"):
        table.add_column(heading, overflow="fold")
    for each in result.thresholds:
        told = "holds" if each.holds else "MISSED"
        measured = "no samples" if each.measured is None else f"{each.measured:.6g}"
        table.add_row(told, each.written, each.arm or "all", measured, each.place)
    return table


def _notes(result: BenchResult) -> Iterator[str]:
    environment = result.environment
    if result.interrupted:
        yield "Interrupted: the figures are of the requests that had ended."
    if result.aborted:
        yield "Aborted by a threshold: the figures are of the requests that had ended."
    if not result.validity.valid:
        yield "INVALID: the generator did not keep up. " + "; ".join(result.validity.reasons) + "."
    source = environment.get("upstream", environment.get("file"))
    yield f"Upstream: {source}. Calls counted by the {result.calls_counted_by}."
    for name, arm in result.arms.items():
        yield _arm_note(name, arm)
    yield _load_note(result)
    yield (
        f"Keys: {environment['keys']} over {environment['population']:,}, seed {environment['seed']}; arms in turns "
        f"(ABBA), {environment['blocks']} blocks. Latencies: of answered requests, to three digits."
    )
    cached = next((arm for arm in result.arms.values() if arm.uses_cache), None)
    if cached is not None and 0 < cached.hit_rate < 1:
        yield (
            f"The percentiles above {cached.hit_rate:.1%} of the first pass are the upstream's latency: the other "
            "requests waited for it."
        )
    yield (
        f"Machine: {environment['python']}, {environment['platform']}, {environment['cpu_count']} CPUs, load average "
        f"{_load_average(environment['load_average'])} at the start."
    )


def _arm_note(name: str, arm: ArmResult) -> str:
    label = f"{name[:1].upper()}{name[1:]} arm"
    if not arm.uses_cache:
        if arm.max_calls is None or arm.thinned_to == 1:
            return f"{label}: no cache."
        return (
            f"{label}: no cache. {arm.thinned_to:.1%} of the requests, evenly picked: {arm.max_calls:,} calls at most."
        )
    cache = arm.cache
    if "entries_stored" not in cache:
        return f"{label}: its cache gave no account of itself."
    tiers = ", ".join(f"{count:,} by {tier}" for tier, count in cache["hits_by_tier"].items()) or "no hits"
    held = f" with {cache['entries_at_start']:,} entries" if cache["entries_at_start"] else ""
    off = "" if cache["mode"] == "on" else f" The cache's mode is {cache['mode']}: it does not answer every call."
    return (
        f"{label}: started {cache['at_start']}{held}, stored {cache['entries_stored']:,} entries, "
        f"{cache['disk_bytes'] / 1024**2:.1f} MiB on disk; answered {tiers}; {cache['coalesced']:,} requests shared a "
        f"call under way.{off}"
    )


def _load_note(result: BenchResult) -> str:
    environment = result.environment
    in_flight = f", {environment['concurrency']} in flight" if "concurrency" in environment else ""
    processes = f", {environment['processes']} processes" if environment["processes"] > 1 else ""
    return f"Load: {environment['executor']}{in_flight}{processes}, {LOOPS[environment['loop']]}"


def _load_average(values: Sequence[float] | None) -> str:
    return "unknown" if values is None else " ".join(f"{value:g}" for value in values)
