"""Warming from scenario files: each scenario's call made once, through the application's own cache."""

import asyncio
import re
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Literal

import msgspec

from apicache import InputError, UnifiedAPICache, WarmOutcome
from apicache.credentials import REDACTED, storable_url
from apicache_scenarios.format.model import Case

URL = re.compile(r"https?://[^\s'\"<>]+")

OnProgress = Callable[[int], None]
"""Called as each scenario ends, with the number that have ended."""


class WarmedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one scenario: `warmed` was called and stored, `fresh` stood in the cache already.

    `key` is None for a call that has none; `path` and `line` say where the scenario is written.
    """

    operation: str
    key: str | None
    status: Literal["warmed", "fresh", "failed"]
    seconds: float
    error: str | None
    name: str | None
    path: str
    line: int


class WarmSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a run; `not_run` is what an interrupt left undone, `seconds` wall time."""

    scenarios: int
    warmed: int
    fresh: int
    failed: int
    not_run: int
    seconds: float
    interrupted: bool


class WarmReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one run did, in the files' order; `schema` is the number of the documented JSON contract."""

    schema: int = 1
    entries: list[WarmedEntry]
    summary: WarmSummary


def run_warming(
    cache: UnifiedAPICache, scenarios: Sequence[Case], *, concurrency: int, on_progress: OnProgress
) -> WarmReport:
    """Call every scenario that the cache has no fresh entry for, at most `concurrency` at a time, and report.

    An interrupt (SIGINT) ends the run and reports what had ended. Raises InputError when the cache is off. Blocks until
    done; not for use inside a running event loop.
    """
    if cache.mode == "off":
        raise InputError(
            "the application's cache is off, so calls would be made and nothing kept; "
            'unset APICACHE=off (or set APICACHE=on), and mode = "off" under [tool.apicache]'
        )
    ended: dict[int, WarmedEntry] = {}

    def note(outcome: WarmOutcome) -> None:
        ended[outcome.position] = _entry(scenarios[outcome.position], outcome)
        on_progress(len(ended))

    calls = [scenario.call() for scenario in scenarios]
    started = perf_counter()
    interrupted = False
    try:
        asyncio.run(_warm(cache, calls, concurrency, note))
    except KeyboardInterrupt:
        interrupted = True
    entries = [entry for _, entry in sorted(ended.items())]
    counts = {status: sum(entry.status == status for entry in entries) for status in ("warmed", "fresh", "failed")}
    summary = WarmSummary(
        scenarios=len(scenarios),
        **counts,
        not_run=len(scenarios) - len(entries),
        seconds=perf_counter() - started,
        interrupted=interrupted,
    )
    return WarmReport(entries=entries, summary=summary)


async def _warm(
    cache: UnifiedAPICache, calls: list[dict[str, object]], concurrency: int, note: Callable[[WarmOutcome], None]
) -> None:
    await cache.warm_cache(calls, concurrency=concurrency, on_outcome=note)


def _entry(scenario: Case, outcome: WarmOutcome) -> WarmedEntry:
    return WarmedEntry(
        operation=outcome.operation,
        key=outcome.key,
        status=outcome.status,
        seconds=outcome.seconds,
        error=None if outcome.error is None else URL.sub(_without_credentials, outcome.error),
        name=scenario.name,
        path=scenario.path.as_posix(),
        line=scenario.line,
    )


def _without_credentials(url: re.Match[str]) -> str:
    """Client libraries quote the URL in their errors, an API key in its query included."""
    try:
        return storable_url(url[0])
    except ValueError:  # urlsplit refuses some malformed hosts
        return REDACTED
