"""`apicache stats`: what the cache has saved since, from the usage log."""

from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from apicache.errors import InputError, did_you_mean
from apicache.policy import seconds
from apicache.usage.log import UsageLog
from apicache.usage.report import (
    TARGET_HIT_RATE,
    Frequent,
    OperationUsage,
    UsageReport,
    frequent,
    operations_in,
    report,
)
from apicache_cli import output
from apicache_cli.opening import counted, moment, now, opened_log, span

WIDEST = 1000
"""Columns of a table where no terminal sets the width, so that no name is cut."""


def command(
    since: Annotated[str, typer.Option(help="How far back: 24h, 7d; whole hours are counted.")] = "7d",
    operation: Annotated[str | None, typer.Option(help="This operation alone.")] = None,
    frequent_keys: Annotated[int, typer.Option("--frequent", min=0, help="List that many of the most used keys.")] = 0,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Show hit rate, time and money saved, and what another TTL would have done, per operation.

    Exits 2 for bad input.
    """
    length = seconds(since)
    with opened_log() as log:
        _check_operation(log, operation)
        usage = report(log, length, now(), operation)
        keys = frequent(log, operation, frequent_keys) if frequent_keys else []
    if format == "json":
        output.print_json(_document(usage, keys))
    else:
        _print_report(output.stdout(), usage, length)
        _print_keys(output.stdout(), keys)


def _check_operation(log: UsageLog, operation: str | None) -> None:
    if operation is None:
        return
    known = operations_in(log)
    if operation not in known:
        hint = did_you_mean(operation, known) or "no call was recorded yet"
        raise InputError(f"no recorded call of operation {operation!r}; {hint}")


def _document(usage: UsageReport, keys: list[Frequent]) -> dict[str, Any]:
    return {
        "schema": 1,
        "target_hit_rate": TARGET_HIT_RATE,
        **msgspec.to_builtins(usage),
        "frequent": msgspec.to_builtins(keys),
    }


def _print_report(console: Console, usage: UsageReport, length: float) -> None:
    if not usage.operations:
        _say(console, f"no calls recorded in the last {span(length)}")
        return
    _print_table(console, _table(usage))
    total = usage.total
    if total.hit_rate is not None:
        verdict = "reaches" if total.hit_rate >= TARGET_HIT_RATE else "is below"
        _say(console, f"the hit rate of {total.hit_rate:.1%} {verdict} the target of {TARGET_HIT_RATE:.0%}")
    spared = total.hits + total.stale + total.coalesced
    _say(
        console,
        f"{counted(spared, 'call')} spared in the last {span(length)}: {span(total.saved_seconds)} of waiting and "
        f"${total.saved_cost:,.2f} saved, ${total.spent_cost:,.2f} spent",
    )
    for operation in usage.operations:
        advice = _about_ttl(operation)
        if advice:
            _say(console, advice)


def _table(usage: UsageReport) -> Table:
    table = Table()
    table.add_column("operation", overflow="fold")
    for heading in (
        "calls",
        "hit rate",
        "hits",
        "stale",
        "misses",
        "coalesced",
        "errors",
        "saved",
        "saved $",
        "spent $",
    ):
        table.add_column(heading, justify="right")
    rows = [*usage.operations, *([usage.total] if len(usage.operations) > 1 else [])]
    for row in rows:
        if row is usage.total:
            table.add_section()
        table.add_row(*map(Text, _cells(row)))
    return table


def _cells(row: OperationUsage) -> list[str]:
    numbers = (row.hits, row.stale, row.misses, row.coalesced, row.errors)
    return [
        row.operation,
        f"{row.calls:,}",
        "-" if row.hit_rate is None else f"{row.hit_rate:.1%}",
        *(f"{number:,}" for number in numbers),
        span(row.saved_seconds),
        f"{row.saved_cost:,.2f}",
        f"{row.spent_cost:,.2f}",
    ]


def _about_ttl(usage: OperationUsage) -> str | None:
    """How the ages at hit and the times of misses stand to the ttl; None where there is nothing to say."""
    again = sum(usage.gaps)
    if usage.ttl_seconds is None and not again:
        return None
    parts = []
    if usage.ttl_seconds is not None:
        parts.append(f"ttl {span(usage.ttl_seconds)}, median age at hit {_median_age(usage.ages)}")
    repeated = counted(again, "repeated miss", "repeated misses")
    parts.append(f"twice the ttl would have answered {usage.double_ttl_gains:,} more of {repeated}")
    parts.append(f"half of it would have lost at most {counted(usage.half_ttl_loses, 'hit')}")
    if usage.cut_short:
        parts.append(f"{counted(usage.cut_short, 'entry', 'entries')} evicted or invalidated before the end")
    return f"{usage.operation}: {'; '.join(parts)}"


def _median_age(ages: list[int]) -> str:
    """The tenth of the ttl in which the median lies."""
    reached, half = 0, sum(ages) / 2
    for bucket, hits in enumerate(ages):
        reached += hits
        if reached >= half:
            return f"{bucket * 10} to {bucket * 10 + 10}% of it"
    return "not known"


def _print_keys(console: Console, keys: list[Frequent]) -> None:
    if not keys:
        return
    table = Table(title="most used keys", title_justify="left", title_style="bold")
    for heading in ("key", "operation", "parameters"):
        table.add_column(heading, overflow="fold")
    for heading in ("hits", "loads", "last used"):
        table.add_column(heading, justify="right")
    for key in keys:
        shown = "(not recorded)" if key.parameters is None else msgspec.json.encode(key.parameters).decode()
        cells = (key.key, key.operation, shown, f"{key.hits:,}", f"{key.loads:,}", moment(key.used_at))
        table.add_row(*map(Text, cells))
    _print_table(console, table)


def _print_table(console: Console, table: Table) -> None:
    if not console.is_terminal:
        natural = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
        console.width = max(console.width, natural)
    console.print(table)


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False)
