"""Where commands print: data on stdout, progress and warnings on stderr."""

import json
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console


def stdout() -> Console:
    """The console for data: colour only on a terminal, never under NO_COLOR."""
    return Console(highlight=False)


def stderr() -> Console:
    """The console for progress and warnings."""
    return Console(stderr=True, highlight=False)


def print_json(document: Mapping[str, Any]) -> None:
    """Print a document as JSON on stdout, unwrapped and uncoloured."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
