"""`apicache bench`: measure the cache against direct calls, in one run."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from apicache_cli import output
from apicache_cli.progress import progress
from apicache_scenarios.arms import ArmReport
from apicache_scenarios.bench import BenchReport, BenchSettings, run_benchmark
from apicache_scenarios.executors import executor_names

REQUESTS_FAILED = 1
INTERRUPTED = 130
DEFAULTS = BenchSettings()

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


def command(
    *,
    requests: Annotated[int, typer.Option(help="Requests per arm.")] = DEFAULTS.requests,
    concurrency: Annotated[int, typer.Option(help="Requests in flight at once.")] = DEFAULTS.concurrency,
    seed: Annotated[int, typer.Option(help="Seed of the keys and of the upstream's latency.")] = DEFAULTS.seed,
    latency_ms: Annotated[
        float, typer.Option(help="Mean latency of the embedded upstream, in ms.")
    ] = DEFAULTS.latency_ms,
    population: Annotated[int, typer.Option(help="Distinct keys, drawn by Zipf's law.")] = DEFAULTS.population,
    url: Annotated[
        str | None, typer.Option(help="Base URL of an upstream that runs already, in place of the embedded one.")
    ] = None,
    executor: Annotated[str, typer.Option(help=f"Load shape: {', '.join(executor_names())}.")] = DEFAULTS.executor,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Send the same requests through an empty cache and directly, in turns, and compare.

    Exits 1 when requests failed, 2 for bad input, 130 when interrupted; what was measured by then is printed.
    """
    settings = BenchSettings(
        requests=requests,
        concurrency=concurrency,
        seed=seed,
        latency_ms=latency_ms,
        population=population,
        url=url,
        executor=executor,
    )
    with progress(output.stderr(), "requests", settings.planned_requests) as advance:
        report = run_benchmark(settings, advance)
    if format == "json":
        output.print_json(msgspec.to_builtins(report))
    else:
        _print_report(output.stdout(), report)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if report.errors:
        raise typer.Exit(REQUESTS_FAILED)


def _print_report(console: Console, report: BenchReport) -> None:
    console.print(_table(report))
    cached, environment = report.arms["cached"], report.environment
    tiers = ", ".join(f"{count} by {tier}" for tier, count in cached.cache["hits_by_tier"].items()) or "no hits"
    notes = [
        f"Upstream: {environment['upstream']}. Calls counted by the {report.calls_counted_by}.",
        (
            f"Cached arm: started {cached.cache['at_start']}, stored {cached.cache['entries_stored']} entries, "
            f"{cached.cache['disk_bytes'] / 1024**2:.1f} MiB on disk; answered {tiers}; "
            f"{cached.coalesced} requests shared a call under way. Direct arm: no cache."
        ),
        (
            f"Load: {environment['executor']}, {environment['concurrency']} in flight, a closed loop: a slow answer "
            "delays the requests behind it, so waiting that independent callers would meet is not in these figures."
        ),
        (
            f"Keys: {environment['keys']} over {environment['population']}, seed {environment['seed']}; arms in turns "
            f"(ABBA), {environment['blocks']} blocks. Latencies: exact percentiles of answered requests."
        ),
    ]
    if cached.hits:
        notes.append(
            f"The cached arm's percentiles above {cached.hit_rate:.1%} are the upstream's latency: the other requests "
            "waited for it."
        )
    notes.append(f"Machine: {environment['python']}, {environment['platform']}, {environment['cpu_count']} CPUs.")
    if report.interrupted:
        notes.insert(0, "Interrupted: the figures are of the requests that had ended.")
    for note in notes:
        console.print(note, markup=False)


def _table(report: BenchReport) -> Table:
    table = Table()
    table.add_column("")
    for heading in ("cached", "direct", "source document"):
        table.add_column(heading, justify="right")
    for label, cached, direct in _rows(report.arms["cached"], report.arms["direct"], report):
        table.add_row(label, cached, direct, SOURCE.get(label, ""))
    return table


def _rows(cached: ArmReport, direct: ArmReport, report: BenchReport) -> Iterator[tuple[str, str, str]]:
    """Label, cached arm, direct arm."""
    yield "requests", f"{cached.requests:,}", f"{direct.requests:,}"
    yield "hit rate", _percent(cached.hit_rate), _percent(direct.hit_rate)
    yield "upstream calls", f"{cached.upstream_calls:,}", f"{direct.upstream_calls:,}"
    yield "API-call reduction", _percent(report.api_call_reduction), ""
    yield "throughput", f"{cached.throughput_rps:,.2f} req/s", f"{direct.throughput_rps:,.2f} req/s"
    yield "p50", _ms(cached.p50_ms), _ms(direct.p50_ms)
    yield "p95", _ms(cached.p95_ms), _ms(direct.p95_ms)
    yield "p99", _ms(cached.p99_ms), _ms(direct.p99_ms)
    yield "max", _ms(cached.max_ms), _ms(direct.max_ms)
    yield "p50 of hits", _ms(cached.hit_p50_ms), ""
    yield "p95 of hits", _ms(cached.hit_p95_ms), ""
    yield "p50 of misses", _ms(cached.miss_p50_ms), _ms(direct.miss_p50_ms)
    yield "speed-up (p50)", _times(report.speedup_p50), ""
    yield "speed-up of hits", _times(report.speedup_hit_p50), ""
    yield "errors", f"{cached.errors:,}", f"{direct.errors:,}"
    for name in sorted(cached.error_classes | direct.error_classes):
        yield f"  {name}", f"{cached.error_classes.get(name, 0):,}", f"{direct.error_classes.get(name, 0):,}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _ms(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.3f} ms" if milliseconds < 1 else f"{milliseconds:.2f} ms"


def _times(factor: float | None) -> str:
    return "-" if factor is None else f"{factor:,.0f}x"
