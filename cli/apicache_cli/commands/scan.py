"""`apicache scan`: which external calls a project makes, and which are duplicates."""

import contextlib
import shlex
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from apicache_cli import output
from apicache_codemods.analysis import Progress as OnProgress
from apicache_codemods.detector import load_detectors
from apicache_codemods.files import EMPTY
from apicache_codemods.model import CallSite, DuplicateGroup, ScanReport, SkippedFile, open_groups
from apicache_codemods.scan import scan

DUPLICATES_FOUND = 1
LISTED_SITES = 200
LISTED_IN_GROUP = 12
LISTED_FILES = 50
"""Longer lists end with how many more there are; JSON has everything."""
WIDEST = 10_000
"""Columns a table may take where no terminal sets the width."""


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Python files and folders; the working directory when none is given.")
    ] = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
    fail_on: Annotated[
        Literal["never", "any"],
        typer.Option(help="`any`: exit 1 for a duplicate group of uncached calls."),
    ] = "never",
) -> None:
    """Find the calls of external APIs, and which of them are duplicates.

    Nothing is imported or run. Files that cannot be read are named, the rest goes on. A path that is not there: exit 2.
    """
    given = paths or [Path()]
    with _progress(output.stderr()) as advance:
        report = scan(given, Path.cwd(), advance)
    if format == "json":
        output.print_json(msgspec.to_builtins(report))
    else:
        _print_report(output.stdout(), report, given)
    if fail_on == "any" and open_groups(report):
        raise typer.Exit(DUPLICATES_FOUND)


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[OnProgress | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading files", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def _print_report(console: Console, report: ScanReport, paths: Sequence[Path]) -> None:
    if report.duplicate_groups:
        cached = {(site.path, site.line) for site in report.call_sites if site.cached}
        _print_table(console, _groups(report.duplicate_groups, cached))
    others = [site for site in report.call_sites if site.group is None]
    if others:
        _print_table(console, _sites(others[:LISTED_SITES]))
        _print_more(console, len(others) - LISTED_SITES)
    # An empty __init__.py is no news; one that was asked for is.
    skipped = [file for file in report.skipped_files if file.reason != EMPTY or Path(file.path) in paths]
    if skipped:
        _print_table(console, _skipped(skipped[:LISTED_FILES]))
        _print_more(console, len(skipped) - LISTED_FILES)
    _print_summary(console, report, paths)


def _print_summary(console: Console, report: ScanReport, paths: Sequence[Path]) -> None:
    summary = report.summary
    counted = [
        _count(summary.call_sites, "call site"),
        _count(summary.duplicate_groups, "duplicate group"),
        *([_count(len(report.wrapper_calls), "wrapper call")] if report.wrapper_calls else []),
    ]
    read = f"{_count(summary.files, 'file')} with {_count(summary.lines, 'line')} read in {summary.seconds:.1f} s"
    _say(console, f"{', '.join(counted)}; {read}")
    command = f"apicache migrate {shlex.join(str(path) for path in paths)}"
    if open_groups(report):
        _say(console, f"next: [bold]{escape(command)}[/bold] shows how each would become one cached call")
    elif not all(site.cached for site in report.call_sites):
        found = "no further duplicates" if report.duplicate_groups else "no duplicates"
        _say(console, f"{found}; [bold]{escape(command)}[/bold] shows which calls can be cached as they are")
    elif report.call_sites:
        _say(console, "every call found is answered by apicache")
    else:
        _say(console, f"known libraries: {', '.join(load_detectors())}")


def _say(console: Console, markup: str) -> None:
    console.print(markup, soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _print_more(console: Console, more: int) -> None:
    if more > 0:
        _say(console, f"and {more:,} more; --format json lists all")


def _print_table(console: Console, table: Table) -> None:
    """Print a table; where no terminal sets the width, as wide as it needs to be, so that no path is cut."""
    if not console.is_terminal:
        natural = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
        console.width = max(console.width, natural)
    console.print(table)


def _groups(groups: Sequence[DuplicateGroup], cached: Container[tuple[str, int]]) -> Table:
    table = _table("duplicate groups")
    table.add_column("group")
    table.add_column("endpoint", overflow="fold")
    table.add_column("operation", overflow="fold")
    table.add_column("calls", justify="right")
    table.add_column("where", overflow="fold")
    for group in groups:
        places = [
            f"{path}:{line}{' (cached)' if (path, line) in cached else ''}"
            for path, line in group.sites[:LISTED_IN_GROUP]
        ]
        more = len(group.sites) - len(places)
        if more:
            places.append(f"and {more} more")
        cells = (group.id, group.endpoint, group.operation or "-", str(len(group.sites)), "\n".join(places))
        table.add_row(*map(Text, cells))
        table.add_section()
    return table


def _sites(sites: Sequence[CallSite]) -> Table:
    table = _table("other call sites")
    table.add_column("where", overflow="fold")
    table.add_column("call", overflow="fold")
    table.add_column("endpoint", overflow="fold")
    table.add_column("operation", overflow="fold")
    for site in sites:
        endpoint = site.endpoint or (f"{site.method} (URL not known)" if site.method else "(not known)")
        table.add_row(*map(Text, (f"{site.path}:{site.line}", site.call, endpoint, site.operation or "-")))
    return table


def _skipped(files: Sequence[SkippedFile]) -> Table:
    table = _table("skipped files")
    table.add_column("file", overflow="fold")
    table.add_column("reason", overflow="fold")
    for file in files:
        table.add_row(Text(file.path), Text(file.reason))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")
