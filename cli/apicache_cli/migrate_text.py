"""What `apicache migrate` prints: the patch on stdout, reasons and counts on stderr."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apicache.errors import InputError
from apicache_cli import output, scan_answers
from apicache_codemods.explaining import explain
from apicache_codemods.migrate import MigrationPlan, Preparation
from apicache_codemods.migration_words import closing, decided, place
from apicache_codemods.report_words import counted
from apicache_codemods.reverting.plan import RevertPlan
from apicache_codemods.rewriting.journal import Recovery
from apicache_codemods.rewriting.site_view import SiteView, views
from apicache_codemods.rewriting.verdicts import MEANINGS, SiteDecision

_COLOURS = (("+++", "bold"), ("---", "bold"), ("diff ", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))
_NEXT = {
    "safe": "apicache migrate --write rewrites it",
    "unsafe": "only you can tell whether a cached answer will do here; write the cached call yourself if it does",
    "never": "nothing: a cached answer would be wrong here",
}


def print_migration(migration: MigrationPlan, *, applied: bool) -> None:
    """Print the patch, or the paths of what was written; then the reasons and the counts."""
    if applied:
        _print_paths(migration)
    else:
        _print_patch(migration.patch())
    console = output.stderr()
    for line in _reasons(migration):
        console.print(line, soft_wrap=True)
    if migration.sites:
        console.print(_summary(migration))
    console.print(Text(closing(migration, applied=applied)), soft_wrap=True)


def print_reverting(reverting: RevertPlan, *, applied: bool) -> None:
    """Print what takes apicache out, and the places where it stays."""
    if applied:
        _print_paths(reverting)
    else:
        _print_patch(reverting.patch())
    console = output.stderr()
    for left in reverting.left:
        console.print(Text(f"{left.path}:{left.line}: left as it is: {left.reason}"), soft_wrap=True)
    files = counted(len(reverting.changes), "file")
    calls = counted(reverting.calls, "call")
    if not reverting.changes:
        said = "nothing to take out: no file uses apicache" if not reverting.left else "nothing changed"
    else:
        said = (
            f"made {calls} plain in {files}" if applied else f"would make {calls} plain in {files}; apply with --write"
        )
    console.print(Text(said), soft_wrap=True)


def print_changes(what: str, paths: Sequence[str]) -> None:
    """Print files, one a line, and how many there were."""
    for path in paths:
        typer.echo(path)
    typer.echo(f"{what} {counted(len(paths), 'file')}", err=True)


def print_recovery(recoveries: Sequence[Recovery]) -> None:
    """Tell of runs that were stopped and have been taken back."""
    for each in recoveries:
        typer.echo(
            f"an earlier run was stopped; {counted(len(each.restored), 'file')} of it "
            f"{'has' if len(each.restored) == 1 else 'have'} the old content again"
            f"{': ' if each.restored else ''}{', '.join(each.restored)}",
            err=True,
        )
        if each.left:
            typer.echo(f"changed since, and left: {', '.join(each.left)}; the old content is in {each.kept}", err=True)


def print_explanation(preparation: Preparation, where: str, root: Path) -> None:
    """Print what becomes of the call at a place, and how it was resolved."""
    migration = preparation.plan()
    sites = [site for site in migration.sites if _is_at(site, where, root)]
    seen = views(sites, migration.changes)
    console = output.stdout()
    for site in sites:
        print_site(console, site, seen.get(site))
    try:
        calls = explain(where, preparation.analysis, root)
    except InputError:
        if not sites:
            raise
        return
    scan_answers.print_explanation(console, calls)
    if not sites:
        console.print(Text("migrate rewrites call sites only"), soft_wrap=True)


def _is_at(site: SiteDecision, where: str, root: Path) -> bool:
    path, _, line = where.rpartition(":")
    if not line.isdecimal() or not site.line <= int(line) <= site.end_line:
        return False
    return (root / path).resolve() == (root / site.path).resolve()


def print_site(console: Console, site: SiteDecision, view: SiteView | None) -> None:
    """Print a site's decision with its reason, what changes there, and the operation's definition."""
    style = "green" if site.decision == "rewritten" else "yellow"
    console.print(
        Text.assemble((place(site), "bold"), f"  {site.endpoint or ''}  ", (decided(site), style)), soft_wrap=True
    )
    facts = [("code", f"{site.code}: {MEANINGS[site.code]}"), ("reason", site.reason), ("safety", site.safety)]
    if site.operation is not None:
        facts.append(("operation", site.operation))
    if site.decision == "skipped":
        facts.append(("next", _NEXT[site.safety]))
    for what, said in facts:
        console.print(Text.assemble((f"    {what:<10}", "dim"), said), soft_wrap=True)
    if view is None:
        return
    for line in view.lines:
        console.print(Text(line, _colour(line)), soft_wrap=True)
    if view.definition:
        console.print(Text(f"    defined in {view.defined_in}:", "dim"), soft_wrap=True)
        for line in view.definition:
            console.print(Text(f"+{line}", "green"), soft_wrap=True)


def _print_paths(planned: MigrationPlan | RevertPlan) -> None:
    for change in planned.changes:
        typer.echo(f"{change.path} (deleted)" if change.after is None else change.path)


def _print_patch(patch: bytes) -> None:
    """The patch byte for byte; on a terminal with colours."""
    stream = typer.get_binary_stream("stdout")
    console = output.stdout()
    if not console.is_terminal or console.no_color:
        stream.write(patch)
        stream.flush()
        return
    for line in patch.decode(errors="replace").split("\n")[:-1]:
        console.print(Text(line, _colour(line)), soft_wrap=True)


def _colour(line: str) -> str:
    return next((style for prefix, style in _COLOURS if line.startswith(prefix)), "")


def _reasons(migration: MigrationPlan) -> Iterator[Text]:
    """A line for each call left as it is or only wrapped for want of an operation, and for each file not read."""
    for site in migration.sites:
        if site.decision == "skipped" or site.code == "M004":
            yield Text(f"{place(site)}: {site.code} {site.reason}")
    for skipped in migration.skipped_files:
        if skipped.reason != "empty":
            yield Text(f"{skipped.path}: not read: {skipped.reason}")


def _summary(migration: MigrationPlan) -> Table:
    table = Table(title="call sites", title_justify="left", title_style="bold")
    table.add_column("decision")
    table.add_column("code")
    table.add_column("meaning", overflow="fold")
    table.add_column("sites", justify="right")
    for row in migration.summary():
        table.add_row(f"{row.decision} ({row.style or row.safety})", row.code, Text(row.meaning), f"{row.sites:,}")
    return table
