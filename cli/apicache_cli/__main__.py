"""Entry point of `apicache` and `python -m apicache_cli`."""

import sys

import typer

from apicache.errors import InputError
from apicache_cli.app import app

INPUT_ERROR = 2
INTERRUPTED = 130


def main() -> None:
    """Run the command line; exit 0 fine, 1 the command's negative, 2 bad input, 99 threshold, 130 interrupted."""
    try:
        app()
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(INPUT_ERROR)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
