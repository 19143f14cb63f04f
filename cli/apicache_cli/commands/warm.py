"""`apicache warm`: fill the cache ahead of traffic."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apicache_cli import output
from apicache_cli.progress import progress
from apicache_scenarios.application import load_application
from apicache_scenarios.format.loading import load_scenarios
from apicache_scenarios.warm import WarmedEntry, WarmReport, run_warming

CALLS_FAILED = 1
INTERRUPTED = 130
LISTED_ENTRIES = 50
"""Of a longer run only the failures are listed; JSON has everything."""
STYLES = {"warmed": "green", "fresh": "cyan", "failed": "red"}


def command(
    files: Annotated[list[Path], typer.Argument(help="Scenario files (YAML).", metavar="FILE...")],
    app: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:ATTRIBUTE", help="The application's cache; else `app` of [tool.apicache] in pyproject.toml."
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="How many calls are under way at once, at most.")] = 8,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Make each scenario's call once, so that the application finds the answer in its cache.

    Exits 1 when a call failed, 2 for bad input, 130 when interrupted; what had ended by then is printed.
    """
    # The application may print while it is imported or called: stdout carries our data alone.
    with contextlib.redirect_stdout(sys.stderr):
        cache = load_application(app, Path.cwd())
        scenarios = load_scenarios(files, cache.operations)
        with progress(output.stderr(), "warming", len(scenarios)) as advance:
            report = run_warming(cache, scenarios, concurrency=concurrency, on_progress=advance)
    if format == "json":
        output.print_json(msgspec.to_builtins(report))
    else:
        _print_report(output.stdout(), report)
    if report.summary.interrupted:
        raise typer.Exit(INTERRUPTED)
    if report.summary.failed:
        raise typer.Exit(CALLS_FAILED)


def _print_report(console: Console, report: WarmReport) -> None:
    summary = report.summary
    listed = report.entries
    if len(listed) > LISTED_ENTRIES:
        listed = [entry for entry in report.entries if entry.status == "failed"]
    if listed:
        console.print(_table(listed))
    hidden = len(report.entries) - len(listed)
    if hidden:
        console.print(f"{hidden} more went well; --format json lists all")
    line = f"{summary.warmed} warmed, {summary.fresh} fresh, {summary.failed} failed in {summary.seconds:.1f} s"
    if summary.interrupted:
        line += f"; interrupted, {summary.not_run} of {summary.scenarios} not run"
    console.print(line, soft_wrap=True)


def _table(entries: list[WarmedEntry]) -> Table:
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
