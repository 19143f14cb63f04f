"""`apicache scenarios expand`: the calls that scenario files stand for, one a line."""

import contextlib
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from apicache_scenarios.application import load_application
from apicache_scenarios.format.loading import load_files
from apicache_scenarios.format.model import Case


def command(
    files: Annotated[list[Path], typer.Argument(help="Scenario files (YAML).", metavar="FILE...")],
    app: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:ATTRIBUTE", help="The application's cache; else `app` of [tool.apicache] in pyproject.toml."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many cases to print, at most.")] = None,
) -> None:
    """Print each case as a line of JSON, as it is made: its operation, parameters, place, priority, ttl, weight.

    Makes no call. Exits 2 at the first case that cannot be used.
    """
    with contextlib.redirect_stdout(sys.stderr):  # the application may print while it is imported
        cache = load_application(app, Path.cwd())
    encoder = msgspec.json.Encoder(enc_hook=repr)
    cases = (case for file in load_files(files, cache.callable_operations) for case in file.cases())
    for case in islice(cases, limit):
        sys.stdout.write(encoder.encode(dict(_fields(case))).decode() + "\n")


def _fields(case: Case) -> Iterator[tuple[str, Any]]:
    yield "operation", case.operation
    yield "params", case.params
    yield "place", case.place
    for name in ("name", "priority", "ttl", "skip_if", "weight", "provider"):
        value = getattr(case, name)
        if value is not None:
            yield name, value
