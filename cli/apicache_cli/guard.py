"""What every command's end looks like: bad input is told on stderr and exits 2."""

import functools
from collections.abc import Callable
from typing import Any

import typer

from apicache.errors import InputError

BAD_INPUT = 2


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, with an InputError turned into its message and exit code 2."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except InputError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(BAD_INPUT) from error

    return run
