"""A warming run from begin to end: checked, journalled, interrupted in order, reported."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

from apicache import UnifiedAPICache
from apicache.warm_calls import WarmCalls
from apicache_scenarios.format.declared import register
from apicache_scenarios.format.loading import ScenarioFile
from apicache_scenarios.warming.journal import Journal
from apicache_scenarios.warming.refreshing import Refresher
from apicache_scenarios.warming.report import DryRun, Tally, WarmedEntry, WarmReport, WarmSummary
from apicache_scenarios.warming.warmer import BATCHED_AT_ONCE, Warmer, WarmOptions, check_mode

OnProgress = Callable[[int], None]
"""Called as each case ends, with the number that have ended."""


def run_warming(
    cache: UnifiedAPICache,
    files: Sequence[ScenarioFile],
    options: WarmOptions,
    *,
    total: int,
    directory: Path,
    on_progress: OnProgress,
    watch: bool = False,
    keep: Callable[[WarmedEntry, int], bool] = lambda _entry, _kept: True,
) -> WarmReport:
    """Call every case that the cache has no fresh entry for, and report; `total` is how many cases there are.

    An interrupt (SIGINT) ends the run and reports what had ended; the next run over the same files goes on from there,
    by a journal below `directory`. With `watch` entries are refreshed ahead of their end until an interrupt. `keep`
    says of an entry, and how many are kept already, whether the report is to hold it. Raises InputError when the cache
    is off. Blocks until done; not for use inside a running event loop.
    """
    check_mode(cache)
    for file in files:
        register(cache, file.operations)
    tally = Tally(keep=keep)
    started = perf_counter()
    interrupted = False
    with Journal.of(directory, [file.path for file in files]) as journal:
        resumed = journal.is_resumed
        warmer = Warmer(
            cache,
            files,
            options,
            journal,
            tally=tally,
            on_entry=lambda _: on_progress(tally.ended),
            usage=directory / "usage.db",
        )
        refresher = Refresher(warmer, list(files))
        try:
            asyncio.run(_warm(warmer, refresher if watch else None, journal, total))
        except KeyboardInterrupt:
            interrupted = True
    summary = WarmSummary(
        scenarios=total,
        warmed=tally.counts["warmed"],
        fresh=tally.counts["fresh"],
        failed=tally.counts["failed"],
        uncertain=tally.counts["uncertain"],
        not_run=total - tally.ended,
        seconds=perf_counter() - started,
        calls=warmer.calls,
        cost=warmer.cost,
        failures=dict(tally.failures.most_common()),
        stopped=warmer.stopped,
        over_budget=warmer.stops_as_error,
        interrupted=interrupted,
        resumed=resumed,
        refreshed=refresher.refreshed,
    )
    return WarmReport(entries=tally.entries, summary=summary)


async def _warm(warmer: Warmer, refresher: Refresher | None, journal: Journal, total: int) -> None:
    with WarmCalls(warmer.concurrency + BATCHED_AT_ONCE) as calls:
        await warmer.run(calls)
        if warmer.tally.ended >= total:
            journal.discard()
        if refresher is not None:
            warmer.tally = Tally(keep=lambda _entry, _kept: False)  # refreshes are counted apart
            await refresher.run(calls)


def dry_run(cache: UnifiedAPICache, files: Sequence[ScenarioFile], options: WarmOptions, *, directory: Path) -> DryRun:
    """What `run_warming` would do; makes no call. Raises InputError as it does."""
    check_mode(cache)
    for file in files:
        register(cache, file.operations)
    journal = Journal.of(directory, [file.path for file in files])
    journal.read()
    warmer = Warmer(
        cache,
        files,
        options,
        journal,
        tally=Tally(keep=lambda _entry, _kept: False),
        on_entry=lambda _: None,
        usage=directory / "usage.db",
    )
    return asyncio.run(_dry(warmer, files))


async def _dry(warmer: Warmer, files: Sequence[ScenarioFile]) -> DryRun:
    statuses: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    ceilings: list[float] = []
    expected: list[float] = []
    calls_of: Counter[Path] = Counter()
    usd_of: Counter[Path] = Counter()
    with WarmCalls(1) as calls:
        for case in warmer.cases():
            standing = await calls.standing(warmer.surface_of(case), case.operation, case.params)
            status, ceiling, mean = warmer.estimate(standing, case)
            statuses[status or "called"] += 1
            if status is not None:
                continue
            calls_of[case.path] += 1
            if ceiling is None:
                unknown[case.operation] += 1
            else:
                ceilings.append(ceiling)
                usd_of[case.path] += ceiling  # type: ignore[assignment] # a counter of dollars
            expected.extend([] if mean is None else [mean])
    return DryRun(
        scenarios=statuses.total(),
        calls=statuses["called"],
        fresh=statuses["fresh"],
        uncertain=statuses["uncertain"],
        ceiling=math.fsum(ceilings) if ceilings else None,
        expected=math.fsum(expected) if expected else None,
        unknown=dict(unknown),
        within_budget=all(_fits(file, calls_of[file.path], usd_of[file.path]) for file in files),
        seconds=max((_least_seconds(file, calls_of[file.path]) for file in files), default=0.0),
        saved_per_hit=math.fsum(expected) / len(expected) if expected else None,
    )


def _fits(file: ScenarioFile, calls: int, usd: float) -> bool:
    budget = file.budget
    return (budget.calls is None or calls <= budget.calls) and (budget.usd is None or usd <= budget.usd)


def _least_seconds(file: ScenarioFile, calls: int) -> float:
    """How long the declared rate makes so many calls take at least, were all of one provider."""
    rate = file.defaults.rate
    return 0.0 if rate is None or calls == 0 else (calls - 1) / rate
