"""`apicache bench report`: a saved run in another form."""

from pathlib import Path
from typing import Annotated

import typer

from apicache_cli.bench_reports import Form, read_saved


def command(
    file: Annotated[Path, typer.Argument(help="A result that `apicache bench --save` wrote.")],
    format: Annotated[str, typer.Option(help="text, json, csv, markdown or html.")] = "html",  # noqa: A002 - the option's name
    to: Annotated[
        Path | None, typer.Option("--output", metavar="PATH", help="Write the report there, in place of stdout.")
    ] = None,
    price_per_call: Annotated[
        float | None, typer.Option(help="US dollars of an upstream call, in place of what the run knows.")
    ] = None,
    at_rate: Annotated[float | None, typer.Option(help="Requests a second, to project what a month saves.")] = None,
) -> None:
    """Report a saved run again, in any form and at any price, without running it. Exits 2 for a file that is none."""
    form = Form(format, to=to, price_per_call=price_per_call, rate=at_rate)
    form.show(read_saved(file))
