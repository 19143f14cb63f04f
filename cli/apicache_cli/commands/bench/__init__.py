"""`apicache bench`: measure the cache against direct calls, in one run.

This file is the command itself. Another file of this folder is a command below it (`compare.py` is `apicache bench
compare`), found by its name: it defines `command`, as every command does. Nothing here imports it.
"""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apicache import ApicacheError, InputError
from apicache_cli import output
from apicache_cli.bench_reports import Form
from apicache_scenarios.load.executors import executor_names
from apicache_scenarios.load.settings import BenchSettings, FileSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apicache_cli.bench_live import Show
    from apicache_scenarios.load.result import BenchResult

REQUESTS_FAILED = 1
THRESHOLD_MISSED = 99
INTERRUPTED = 130
DEFAULTS = BenchSettings()


def command(
    *,
    file: Annotated[
        Path | None, typer.Argument(help="Scenario file (YAML); without one, a run on the embedded upstream.")
    ] = None,
    app: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:ATTRIBUTE",
            help="The application's cache, for FILE; else `app` of [tool.apicache] in pyproject.toml.",
        ),
    ] = None,
    requests: Annotated[
        int | None, typer.Option(help=f"Without FILE: requests per arm. Default {DEFAULTS.requests}.")
    ] = None,
    direct_calls: Annotated[
        int | None,
        typer.Option(help=f"Without FILE: the direct arm's requests, at most. Default {DEFAULTS.direct_calls}."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help=f"Without FILE: requests in flight at once. Default {DEFAULTS.concurrency}.")
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(help=f"Without FILE: mean latency of the embedded upstream. Default {DEFAULTS.latency_ms}."),
    ] = None,
    population: Annotated[
        int | None,
        typer.Option(help=f"Without FILE: distinct keys, drawn by Zipf's law. Default {DEFAULTS.population}."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Without FILE: base URL of an upstream that runs already, in place of the embedded one."),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(help=f"Without FILE: load shape, {', '.join(executor_names())}. Default {DEFAULTS.executor}."),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Without FILE: requests a second, for an arrival rate.")] = None,
    seed: Annotated[
        int | None, typer.Option(help=f"Of keys, and of the upstream's latency. Default {DEFAULTS.seed}, or FILE's.")
    ] = None,
    tiers: Annotated[
        str | None, typer.Option(help="Compare tiers: memory,disk,memory+redis; a cache of its own for each.")
    ] = None,
    processes: Annotated[int, typer.Option(help="Worker processes, each with its share of the load.")] = 1,
    max_lag_ms: Annotated[
        float, typer.Option(help="A run whose requests are sent later than this (p99) is labelled invalid.")
    ] = DEFAULTS.max_lag_p99_ms,
    save: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write the result with its histograms, to compare with later.")
    ] = None,
    price_per_call: Annotated[
        float | None, typer.Option(help="US dollars of an upstream call, in place of what the cache knows.")
    ] = None,
    at_rate: Annotated[float | None, typer.Option(help="Requests a second, to project what a month saves.")] = None,
    format: Annotated[str, typer.Option(help="How the result is shown: text, json, csv, markdown or html.")] = "text",  # noqa: A002 - the option's name
    to: Annotated[
        Path | None, typer.Option("--output", metavar="PATH", help="Write the report there, in place of stdout.")
    ] = None,
) -> None:
    """Send the same requests through the cache and past it, in turns, and compare.

    Exits 1 when requests failed, 2 for bad input, 99 when a threshold is missed, 130 when interrupted; what was
    measured by then is printed.
    """
    form = Form(format, to=to, price_per_call=price_per_call, rate=at_rate)
    given = {
        "requests": requests,
        "direct_calls": direct_calls,
        "concurrency": concurrency,
        "latency_ms": latency_ms,
        "population": population,
        "url": url,
        "executor": executor,
        "rate": rate,
    }
    common: dict[str, Any] = {"tiers": _tiers(tiers), "processes": processes, "max_lag_p99_ms": max_lag_ms}
    if seed is not None:
        common["seed"] = seed
    if save is not None and not save.absolute().parent.is_dir():
        raise InputError(f"--save {save} cannot be written: no folder {save.absolute().parent}")
    if file is not None:
        _refuse(given)
        settings = FileSettings(path=file, application=app, working_directory=Path.cwd(), **common)
        result = _of_file(settings)
    else:
        if app is not None:
            raise InputError("--app is for a scenario file; give one: apicache bench FILE --app MODULE:ATTRIBUTE")
        asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        result = _of_default(BenchSettings(**asked, **common))
    if save is not None:
        _save(result, save)
    form.show(result)
    raise typer.Exit(exit_code(result))


def exit_code(result: "BenchResult") -> int:
    """What a run ends with; failed requests count unless a threshold says how many may fail."""
    if result.interrupted:
        return INTERRUPTED
    if result.missed:
        return THRESHOLD_MISSED
    bounded = any("errors." in each.written for each in result.thresholds)
    return REQUESTS_FAILED if result.errors and not bounded else 0


def _of_default(settings: BenchSettings) -> "BenchResult":
    from apicache_scenarios.load.default_run import run_default  # noqa: PLC0415 - numpy, httpx and aiohttp: 0.5 s

    with _shown() as show, _failing():
        return run_default(settings, show)


def _of_file(settings: FileSettings) -> "BenchResult":
    from apicache_scenarios.application import load_application  # noqa: PLC0415 - as above
    from apicache_scenarios.load.scenario_run import run_file  # noqa: PLC0415 - as above

    # The application may print while it is imported or called: stdout carries our data alone.
    with contextlib.redirect_stdout(sys.stderr):
        cache = load_application(settings.application, settings.working_directory)
        with _shown() as show, _failing():
            return run_file(settings, cache, show)


@contextlib.contextmanager
def _failing() -> "Iterator[None]":
    """A run that could not go on, by an upstream that does not start or a worker that died: told, exit 1."""
    try:
        yield
    except InputError:
        raise
    except ApicacheError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(REQUESTS_FAILED) from error


@contextlib.contextmanager
def _shown() -> "Iterator[Show]":
    from apicache_cli.bench_live import shown  # noqa: PLC0415 - rich's live view

    with shown(output.stderr()) as show:
        yield show


def _tiers(text: str | None) -> tuple[tuple[str, ...], ...]:
    if text is None:
        return ()
    from apicache_scenarios.load.own_caches import parse_tiers  # noqa: PLC0415 - as above

    return tuple(parse_tiers(text))


def _refuse(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} is for a run without a scenario file; write it in the file's bench section")


def _save(result: "BenchResult", path: Path) -> None:
    from apicache_scenarios.load.result import save  # noqa: PLC0415 - as above

    partial = path.with_name(f"{path.name}.part")
    try:
        partial.write_bytes(save(result))
        partial.replace(path)
    except OSError as error:
        raise InputError(f"--save {path} cannot be written: {error.strerror}") from error
