"""`apicache import`: the entries of an exported file, back into the cache."""
# ruff: noqa: N999 - the file's name is the command's; commands are loaded by name, never by an import statement

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console

from apicache.archive import Imported, import_entries
from apicache.errors import InputError
from apicache.tier import SharedTier
from apicache_cli import output
from apicache_cli.opening import Opened, counted, now, opened

NOT_ALL_IMPORTED = 1


def command(
    file: Annotated[Path, typer.Argument(help="A file that `apicache export` wrote.", metavar="FILE")],
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Store an exported file's entries in every tier that processes share, except where there are newer ones.

    What has ended or was invalidated since is passed over. Exits 1 when the file was damaged in part or a tier failed,
    2 for bad input.
    """
    with opened() as cache:
        results = [_imported(cache, tier, file) for tier in cache.shared]
    done = [result for result in results if isinstance(result, Imported)]
    failed = [result for result in results if isinstance(result, str)]
    if format == "json":
        document = {"schema": 1, "file": str(file), "tiers": msgspec.to_builtins(done), "failed": failed}
        output.print_json(document)
    else:
        for tier in done:
            _say(output.stdout(), _told(tier))
    for failure in failed:
        _say(output.stderr(), f"error: {failure}")
    for tier in done:
        if tier.invalidated:
            _say(output.stderr(), _why_invalidated(tier))
    damaged, cut_short = any(tier.damaged for tier in done), any(tier.cut_short for tier in done)
    if cut_short:
        _say(output.stderr(), f"warning: {file} was cut short: what is missing at its end was not imported")
    if failed or damaged or cut_short:
        raise typer.Exit(NOT_ALL_IMPORTED)


def _imported(cache: Opened, tier: SharedTier, file: Path) -> Imported | str:
    """What the tier took, or why it failed."""
    try:
        return import_entries(file, tier, now())
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge of a tier: it may raise anything, the others still import
        return f"the {tier.name} tier failed: {cache.failure(tier, error)}"


def _told(tier: Imported) -> str:
    parts = [
        f"{counted(tier.stored, 'entry', 'entries')} stored",
        f"{tier.kept:,} there already",
        f"{tier.expired:,} expired",
        f"{tier.invalidated:,} invalidated",
        f"{tier.damaged:,} damaged",
    ]
    return f"{tier.tier}: {', '.join(parts)}"


def _why_invalidated(tier: Imported) -> str:
    """An invalidation holds for whatever was loaded before it, wherever that comes from later."""
    return (
        f"hint: {tier.tier} took none of {counted(tier.invalidated, 'entry', 'entries')} that had been loaded before "
        "an invalidation or purge that concerns them; load them anew with `apicache warm` and export again, or import "
        "into a cache that was not invalidated: APICACHE_DIR=OTHER apicache import ..."
    )


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False)
