"""`apicache migrate`: rewrite call sites to cached calls, or say for each why not."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from apicache.errors import InputError
from apicache_cli import output
from apicache_codemods.migrate import MigrationPlan, plan, write
from apicache_codemods.rewriting.verdicts import MEANINGS, SiteDecision

WOULD_CHANGE = 1
_COLOURS = ((b"+++", "bold"), (b"---", "bold"), (b"diff ", "bold"), (b"@@", "cyan"), (b"+", "green"), (b"-", "red"))


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Python files and folders; the working directory when none is given.")
    ] = None,
    *,
    apply: Annotated[bool, typer.Option("--write", help="Apply the changes; without it they are only shown.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when there is something to change.")] = False,
    style: Annotated[
        Literal["auto", "operation", "wrap"],
        typer.Option(help="operation: registered operations only; wrap: cached_api_call around the call only."),
    ] = "auto",
    operations_module: Annotated[
        Path | None,
        typer.Option(help="Where operations are registered; api_operations.py in the calls' common package otherwise."),
    ] = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Rewrite external calls to cached calls: a diff on stdout, which `git apply` takes, or the files with --write.

    Each call left as it is has a code and a reason, on stderr. Nothing of the project is imported or run. Bad input:
    exit 2.
    """
    if apply and check:
        raise InputError("both --write and --check were given; give --check to look, --write to change")
    console = output.stderr()
    with console.status("reading and rewriting") if console.is_terminal else nullcontext():
        migration = plan(paths or [Path()], Path.cwd(), style=style, operations_module=operations_module)
    if apply:
        write(migration)
    if format == "json":
        output.print_json(migration.document())
    else:
        _print_text(migration, applied=apply)
    if check and migration.changes:
        raise typer.Exit(WOULD_CHANGE)


def _print_text(migration: MigrationPlan, *, applied: bool) -> None:
    if applied:
        for change in migration.changes:
            typer.echo(change.path)
    else:
        _print_patch(migration.patch())
    console = output.stderr()
    for line in _reasons(migration):
        console.print(line, soft_wrap=True)
    if migration.sites:
        console.print(_summary(migration))
    console.print(_closing(migration, applied=applied), soft_wrap=True)


def _print_patch(patch: bytes) -> None:
    """The patch byte for byte; on a terminal with colours."""
    stream = typer.get_binary_stream("stdout")
    console = output.stdout()
    if not console.is_terminal or console.no_color:
        stream.write(patch)
        stream.flush()
        return
    for line in patch.splitlines():
        style = next((style for prefix, style in _COLOURS if line.startswith(prefix)), "")
        console.print(Text(line.decode(errors="replace"), style), soft_wrap=True)


def _reasons(migration: MigrationPlan) -> Iterator[Text]:
    """A line for each call left as it is or only wrapped for want of an operation, and for each file not read."""
    for site in migration.sites:
        if site.decision == "skipped" or site.code == "M004":
            yield Text(f"{site.path}:{site.line}: {site.code} {site.reason}")
    for skipped in migration.skipped_files:
        if skipped.reason != "empty":
            yield Text(f"{skipped.path}: not read: {skipped.reason}")


def _summary(migration: MigrationPlan) -> Table:
    counts = Counter(map(_row, migration.sites))
    table = Table(title="call sites", title_justify="left", title_style="bold")
    table.add_column("decision")
    table.add_column("code")
    table.add_column("meaning", overflow="fold")
    table.add_column("sites", justify="right")
    for (decision, code), count in sorted(counts.items()):
        table.add_row(decision, code, Text(MEANINGS[code]), f"{count:,}")
    return table


def _row(site: SiteDecision) -> tuple[str, str]:
    return (f"{site.decision} ({site.style})" if site.style else f"{site.decision} ({site.safety})", site.code)


def _closing(migration: MigrationPlan, *, applied: bool) -> Text:
    rewritten = sum(site.decision == "rewritten" for site in migration.sites)
    files = len(migration.changes)
    if not migration.sites:
        return Text("no call sites found; apicache scan lists the libraries it knows")
    if not files:
        return Text(f"nothing to change at {len(migration.sites):,} call sites")
    sites = f"{rewritten:,} of {len(migration.sites):,} call sites in {files:,} files"
    return Text(f"rewrote {sites}" if applied else f"would rewrite {sites}; apply with --write")
