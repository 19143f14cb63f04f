"""`apicache scenarios check`: what is wrong with scenario files, before anything is called."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from apicache_cli import output
from apicache_scenarios.application import load_application
from apicache_scenarios.format.loading import load_checked


def command(
    files: Annotated[list[Path], typer.Argument(help="Scenario files (YAML).", metavar="FILE...")],
    app: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:ATTRIBUTE", help="The application's cache; else `app` of [tool.apicache] in pyproject.toml."
        ),
    ] = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Hold files against the application's operations: names, types, variables, data rows. Makes no call.

    Exits 2 with every problem's file, line and column when there is one.
    """
    with contextlib.redirect_stdout(sys.stderr):  # the application may print while it is imported
        cache = load_application(app, Path.cwd())
    counts = {path.as_posix(): count for path, (_, count) in load_checked(files, cache.callable_operations).items()}
    if format == "json":
        output.print_json({"schema": 1, "files": [{"path": path, "cases": count} for path, count in counts.items()]})
        return
    for path, count in counts.items():
        output.stdout().print(f"{path}: {count:,} {'case' if count == 1 else 'cases'}", markup=False, soft_wrap=True)
