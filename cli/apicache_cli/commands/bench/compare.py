"""`apicache bench compare`: whether one saved run is better or worse than another."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from apicache.errors import InputError
from apicache_cli import output
from apicache_cli.bench_reports import read_saved, write

REGRESSION = 99


def command(
    *,
    before: Annotated[
        Path, typer.Argument(metavar="A", help="The baseline: a file that `apicache bench --save` wrote.")
    ],
    after: Annotated[Path, typer.Argument(metavar="B", help="The run to judge.")],
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit 99 when a metric is worse, or none can be compared.")
    ] = False,
    confidence: Annotated[float, typer.Option(help="Of the intervals, 0 to 1.")] = 0.95,
    tolerance: Annotated[
        float, typer.Option(help="Changes of times and throughput below this are none: 0.05 is 5%.")
    ] = 0.05,
    format: Annotated[Literal["text", "json", "markdown"], typer.Option(help="How it is printed.")] = "text",  # noqa: A002 - the option's name
    to: Annotated[
        Path | None, typer.Option("--output", metavar="PATH", help="Write json or markdown there, not to stdout.")
    ] = None,
) -> None:
    """Hold run B against run A, metric by metric, with bootstrap intervals over blocks.

    Hit rates and numbers of calls are compared between runs of the same seed and settings, times on the same machine
    only. Exits 2 for a file that is no saved run.
    """
    from apicache_scenarios.reporting import comparison_words  # noqa: PLC0415 - not for `--help`
    from apicache_scenarios.reporting.comparison import Limits, as_json, compare  # noqa: PLC0415 - as above

    if to is not None and format == "text":
        raise InputError("--output is for --format json or markdown; add one of them")
    limits = Limits(confidence=confidence, times=tolerance)
    found = compare(read_saved(before), read_saved(after), limits)
    if format == "text":
        output.stdout().print(comparison_words.as_text(found), markup=False, soft_wrap=True, end="")
    else:
        rendered = as_json(found) if format == "json" else comparison_words.as_markdown(found)
        if to is None:
            typer.echo(rendered, nl=False)
        else:
            write(to, rendered)
    if fail_on_regression and (found.worse or not found.is_possible):
        raise typer.Exit(REGRESSION)
