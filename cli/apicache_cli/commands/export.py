"""`apicache export`: the entries of a warmed cache in one file, for images and CI."""

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from apicache.archive import UnwritableError, export_entries
from apicache.policy import seconds
from apicache_cli import output
from apicache_cli.opening import counted, now, opened, size

NOTHING_EXPORTED = 1


def command(
    file: Annotated[Path, typer.Argument(help="The file to write; an existing one is replaced.", metavar="FILE")],
    operation: Annotated[str | None, typer.Option(help="Only the entries of this operation.")] = None,
    max_age: Annotated[
        str | None, typer.Option(help="Only entries that were made within this time: 30m, 24h, 7d.")
    ] = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Write the living entries of the nearest tier that processes share into one file.

    Entries keep their times: they end when they would have ended. The file holds answers in the clear, readable by its
    owner only. Exits 1 when there was nothing to export or the tier failed, 2 for bad input.
    """
    oldest = math.inf if max_age is None else seconds(max_age)
    with opened() as cache:
        if cache.settings.encryption:
            output.stderr().print("warning: the tiers are encrypted, the exported file is not", soft_wrap=True)
        tier = cache.shared[0]
        try:
            exported = export_entries(tier, file, now(), operation=operation, max_age=oldest)
        except UnwritableError:
            raise
        except Exception as error:  # the edge of a tier: it may raise anything
            failure = f"error: the {tier.name} tier failed: {cache.failure(tier, error)}"
            output.stderr().print(failure, soft_wrap=True, markup=False)
            raise typer.Exit(NOTHING_EXPORTED) from error
    if format == "json":
        output.print_json({"schema": 1, "file": str(file), "tier": tier.name, **msgspec.to_builtins(exported)})
    else:
        entries = counted(exported.entries, "entry", "entries")
        line = f"{entries} of the {tier.name} tier in {file} ({size(exported.bytes)}); {exported.left_out:,} left out"
        output.stdout().print(line, soft_wrap=True, markup=False)
    if not exported.entries:
        raise typer.Exit(NOTHING_EXPORTED)
