"""`apicache scenarios suggest`: a scenario file of what will be asked next, from what was asked before."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from rich.measure import Measurement
from rich.table import Table

from apicache.errors import InputError
from apicache.policy import seconds
from apicache.usage.log import UsageLog
from apicache_cli import output
from apicache_cli.opening import counted, moment, now, opened_log
from apicache_codemods.replacing import write_text

if TYPE_CHECKING:
    from apicache_scenarios.prediction.backtest import Backtest, Outcome
    from apicache_scenarios.prediction.history import History
    from apicache_scenarios.prediction.suggestion import Suggestion

WIDEST = 1000
"""Columns of a table where no terminal sets the width, so that nothing is cut."""
RANKINGS = {
    "predicted": "this ranking",
    "count": "most used",
    "oracle": "oracle (knows the future)",
    "nothing": "no warming",
}


def command(
    *,
    usage: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The usage log; else the one of the configured cache folder.")
    ] = None,
    since: Annotated[str, typer.Option(help="How far back to look: 7d, 24h.")] = "30d",
    top: Annotated[int, typer.Option(min=1, help="At most that many calls.")] = 100,
    horizon: Annotated[
        str, typer.Option(help="How far ahead: what is likely within that time is worth warming.")
    ] = "24h",
    min_uses: Annotated[int, typer.Option(min=1, help="Only calls that were made at least so often.")] = 1,
    value_of_second: Annotated[
        float, typer.Option(min=0, metavar="USD", help="What a second of waiting that is saved is worth.")
    ] = 0.001,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="Tell what the ranking would have been worth on the log's last stretch.")
    ] = False,
    output_file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the result to a file, not to stdout.")
    ] = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How a backtest is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Write scenarios of the calls most worth warming: likely to be asked, slow or dear, and cheap to make.

    From operations with `record=True` alone; calls with a parameter that the log redacts are never in it.
    Exits 2 for bad input.
    """
    if backtest and output_file is not None:
        raise InputError("--backtest writes no scenarios; give --output without it")
    if format == "json" and not backtest:
        raise InputError("scenarios are YAML; give --format json with --backtest only")
    ahead, read_at = seconds(horizon), now()
    if ahead <= 0:
        raise InputError(f"--horizon {horizon!r} is no time; give one such as 24h")
    source, history = _history(usage, read_at - seconds(since), min_uses)
    if backtest:
        _tell_backtest(history, top, ahead, value_of_second, format)
        return
    from apicache_scenarios.prediction.ranking import rank  # noqa: PLC0415 - brings in numpy
    from apicache_scenarios.prediction.suggestion import suggestion  # noqa: PLC0415 - same

    ranking = rank(history, read_at, horizon=ahead, top=top, usd_per_second=value_of_second)
    _write(suggestion(ranking, now=read_at, horizon=ahead, source=source), history.incomplete, output_file)


def _history(usage: Path | None, since: float, min_uses: int) -> "tuple[str, History]":
    from apicache_scenarios.prediction.history import read_history, refuse_empty  # noqa: PLC0415 - brings in numpy

    if usage is not None and not usage.is_file():
        raise InputError(f"no usage log {str(usage)!r}; operations with record=True write one")
    if usage is not None:
        log = UsageLog(usage, math.inf)
        try:
            source, history = str(usage), read_history(log, since, min_uses)
        finally:
            log.close()
    else:
        with opened_log() as log:
            source, history = str(log.path), read_history(log, since, min_uses)
    refuse_empty(history, source)
    return source, history


def _write(suggested: "Suggestion", incomplete: int, output_file: Path | None) -> None:
    if suggested.left_out:
        _note(f"{counted(suggested.left_out, 'call')} left out: YAML would not give back their parameters as they are")
    if incomplete:
        _note(f"{counted(incomplete, 'key')} passed over: their parameters are not recorded, or not whole")
    if not suggested.written:
        raise InputError("no call is worth warming; look further back with --since, or ahead with --horizon")
    if output_file is None:
        typer.echo(suggested.text, nl=False)
    else:
        write_text(output_file, suggested.text)
        _note(f"{output_file}: {counted(suggested.written, 'call')}")


def _tell_backtest(history: "History", top: int, ahead: float, value: float, form: str) -> None:
    from apicache_scenarios.prediction.backtest import backtest  # noqa: PLC0415 - brings in numpy

    found = backtest(history, top=top, horizon=ahead, usd_per_second=value)
    if form == "json":
        output.print_json({"schema": 1, **msgspec.to_builtins(found)})
        return
    _say(
        f"ranked by {counted(found.requests_before, 'request')} from {moment(found.begin)} to {moment(found.split)}; "
        f"held against the {found.requests_after:,} until {moment(found.end)}"
    )
    console, table = output.stdout(), _table(found)
    if not console.is_terminal:
        natural = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
        console.width = max(console.width, natural)
    console.print(table)
    _say(f"chosen on the days before: {found.model}")
    if found.gap_closed is not None:
        _say(f"this ranking goes {found.gap_closed:.0%} of the way from the most used calls to the oracle, by coverage")


def _table(found: "Backtest") -> Table:
    table = Table()
    table.add_column(f"top {found.top:,}")
    for heading in ("warmed", "asked for", "precision", "coverage", "spent $", "wasted $"):
        table.add_column(heading, justify="right")
    for outcome in found.outcomes:
        table.add_row(RANKINGS[outcome.ranking], *_cells(outcome))
    return table


def _cells(outcome: "Outcome") -> list[str]:
    precision: Any = outcome.precision
    return [
        f"{outcome.warmed:,}",
        f"{outcome.used:,}",
        "-" if precision is None else f"{precision:.1%}",
        f"{outcome.coverage:.1%}",
        f"{outcome.spent_usd:,.4f}",
        f"{outcome.wasted_usd:,.4f}",
    ]


def _say(text: str) -> None:
    output.stdout().print(text, soft_wrap=True, markup=False)


def _note(text: str) -> None:
    output.stderr().print(text, soft_wrap=True, markup=False)
