"""`apicache warm`: fill the cache ahead of traffic."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apicache.settings import load
from apicache_cli import output
from apicache_cli.opening import counted, span
from apicache_cli.progress import progress
from apicache_scenarios.application import load_application
from apicache_scenarios.format.loading import load_checked
from apicache_scenarios.warming.report import DryRun, WarmedEntry, WarmReport, WarmSummary
from apicache_scenarios.warming.running import dry_run, run_warming
from apicache_scenarios.warming.warmer import WarmOptions

CALLS_FAILED = 1
INTERRUPTED = 130
LISTED_ENTRIES = 50
"""Of a longer run only the failures are listed; JSON has everything."""
STYLES = {"warmed": "green", "fresh": "cyan", "failed": "red", "uncertain": "yellow"}


def command(
    *,
    files: Annotated[list[Path], typer.Argument(help="Scenario files (YAML).", metavar="FILE...")],
    app: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:ATTRIBUTE", help="The application's cache; else `app` of [tool.apicache] in pyproject.toml."
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="How many calls are under way at once, at most; else as the files say.")
    ] = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Make no call: tell how many there would be, and what they may cost.")
    ] = False,
    watch: Annotated[bool, typer.Option(help="Go on until interrupted, and refresh entries before they end.")] = False,
    again: Annotated[
        bool, typer.Option(help="Make calls once more that an ended run had begun, though they may be paid for.")
    ] = False,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Make each scenario's call once, so that the application finds the answer in its cache.

    A run that was interrupted, or killed, goes on where it ended. Exits 1 when a call failed or a budget with
    `on_exceed: error` was used up, 2 for bad input, 130 when interrupted; what had ended by then is printed.
    """
    options = WarmOptions(concurrency=concurrency, again=again)
    directory = load().directory
    # The application may print while it is imported or called: stdout carries our data alone.
    with contextlib.redirect_stdout(sys.stderr):
        cache = load_application(app, Path.cwd())
        checked = load_checked(files, cache.callable_operations)
        loaded = [file for file, _ in checked.values()]
        total = sum(count for _, count in checked.values())
        if dry:
            _print_dry(dry_run(cache, loaded, options, directory=directory), format)
            return
        with progress(output.stderr(), "warming", total) as advance:
            report = run_warming(
                cache,
                loaded,
                options,
                total=total,
                directory=directory,
                on_progress=advance,
                watch=watch,
                keep=_keep if format == "text" else lambda _entry, _kept: True,
            )
    if format == "json":
        output.print_json(msgspec.to_builtins(report))
    else:
        _print_report(output.stdout(), report)
    if report.summary.interrupted:
        raise typer.Exit(INTERRUPTED)
    if report.summary.failed or report.summary.over_budget:
        raise typer.Exit(CALLS_FAILED)


def _keep(entry: WarmedEntry, kept: int) -> bool:
    """What a text is printed of: the first entries, and the failures after them."""
    return kept <= LISTED_ENTRIES or (entry.status in {"failed", "uncertain"} and kept <= 2 * LISTED_ENTRIES)


def _print_dry(plan: DryRun, format: str) -> None:  # noqa: A002 - the option's name
    if format == "json":
        with contextlib.redirect_stdout(sys.__stdout__):
            output.print_json(msgspec.to_builtins(plan))
        return
    console = Console(file=sys.__stdout__, highlight=False)
    lines = [f"{counted(plan.calls, 'call')} would be made, {plan.fresh:,} are fresh"]
    if plan.uncertain:
        lines.append(f"{plan.uncertain:,} had begun when a run was ended, and are not made again without --again")
    lines.append(f"they cost at most {_dollars(plan.ceiling)}, by what is known {_dollars(plan.expected)}")
    lines += [
        f"nothing is known of the cost of {name} ({counted(count, 'call')})" for name, count in plan.unknown.items()
    ]
    if plan.saved_per_hit:
        lines.append(f"each hit on one of them saves {_dollars(plan.saved_per_hit)}")
    if plan.seconds:
        lines.append(f"the declared rate makes this take {span(plan.seconds)} at least")
    if not plan.within_budget:
        lines.append("this may exceed the budget: the run would stop there")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


def _dollars(amount: float | None) -> str:
    return "an unknown amount" if amount is None else f"${amount:,.4f}"


def _print_report(console: Console, report: WarmReport) -> None:
    summary = report.summary
    ended = summary.scenarios - summary.not_run
    listed: Sequence[WarmedEntry] = report.entries
    if ended > LISTED_ENTRIES:
        listed = [entry for entry in report.entries if entry.status in {"failed", "uncertain"}]
    if listed:
        console.print(_table(listed))
    hidden = ended - len(listed)
    if hidden > 0:
        went = "more" if summary.failed + summary.uncertain > len(listed) else "more went well"
        console.print(f"{hidden:,} {went}; --format json lists all")
    for line in _summary_lines(summary):
        console.print(line, soft_wrap=True, markup=False)


def _summary_lines(summary: WarmSummary) -> list[str]:
    line = f"{summary.warmed} warmed, {summary.fresh} fresh, {summary.failed} failed in {summary.seconds:.1f} s"
    if summary.interrupted:
        line += f"; interrupted, {summary.not_run} of {summary.scenarios} not run"
    lines = [line]
    if summary.resumed:
        lines.append("went on with an earlier run over these files")
    if summary.failures:
        lines.append("failed: " + ", ".join(f"{count:,} {kind}" for kind, count in summary.failures.items()))
    if summary.uncertain:
        lines.append(
            f"{summary.uncertain:,} had begun when an earlier run was ended and may be paid for; --again makes them"
        )
    if summary.calls:
        cost = f", ${summary.cost:,.4f}" if summary.cost else ""
        lines.append(f"{counted(summary.calls, 'call')} made{cost}")
    if summary.refreshed:
        lines.append(f"{counted(summary.refreshed, 'entry', 'entries')} refreshed ahead of time")
    if summary.stopped is not None:
        lines.append(f"stopped: {summary.stopped}; {summary.not_run:,} of {summary.scenarios:,} not run")
    return lines


def _table(entries: Sequence[WarmedEntry]) -> Table:
    table = Table()
    for heading in ("status", "operation", "scenario"):
        table.add_column(heading, overflow="fold")
    table.add_column("seconds", justify="right")
    with_errors = any(entry.error for entry in entries)
    if with_errors:
        table.add_column("error", overflow="fold")
    for entry in entries:
        place = f"{entry.path}:{entry.line}"
        cells = [
            Text(entry.status, STYLES[entry.status]),
            Text(entry.operation),
            Text(f"{entry.name} ({place})" if entry.name else place),
            Text(f"{entry.seconds:.3f}"),
        ]
        table.add_row(*cells, *([Text(entry.error or "")] if with_errors else []))
    return table
