"""Warms the cases of scenario files: each call made once, within its budget, no faster than its provider lets."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from apicache import InputError, UnifiedAPICache
from apicache.scrubbing import told
from apicache.surface import CallSurface
from apicache.warm_calls import Loaded, Standing, WarmCalls
from apicache_scenarios.format.loading import ScenarioFile
from apicache_scenarios.format.model import Case
from apicache_scenarios.warming.estimates import Estimates
from apicache_scenarios.warming.failures import Failure, failure_of, failure_of_answer
from apicache_scenarios.warming.journal import Journal
from apicache_scenarios.warming.rates import AdaptiveRate
from apicache_scenarios.warming.report import OnEntry, Status, Tally, WarmedEntry
from apicache_scenarios.warming.spending import BudgetExceededError, Spending

BATCHED_AT_ONCE: Final = 200
"""Calls of batched operations that wait at once: with thousands, single tier operations exceed their time limits."""
_LIVE_POLL: Final = 0.01
"""Seconds between looks whether live calls have ended."""
_LONGEST_WAIT: Final = 60.0
"""Seconds that a failed call waits at most before it is made again, unless its provider asks for more."""


class WarmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is made: `concurrency` in the place of the files' own; `again` makes uncertain calls once more."""

    concurrency: int | None = None
    again: bool = False


class Warmer:
    """One run over some files, on one event loop."""

    def __init__(
        self,
        cache: UnifiedAPICache,
        files: Sequence[ScenarioFile],
        options: WarmOptions,
        journal: Journal,
        *,
        tally: Tally,
        on_entry: OnEntry,
        usage: Path | None = None,
    ) -> None:
        self._cache = cache
        self._files = files
        self._options = options
        self._journal = journal
        self.tally = tally
        self._on_entry = on_entry
        self._estimates = Estimates(cache, usage)
        self._rates: dict[tuple[str, float | None], AdaptiveRate] = {}
        self._views: dict[tuple[float | None, float], CallSurface] = {}
        self._spending = {file.path: Spending(file.budget) for file in files}
        self._by_path = {file.path: file for file in files}
        self._batched: dict[str, bool] = {}
        self._under_way = 0
        self.stopped: str | None = None
        """Why the run ended before its end."""
        self.stops_as_error = False
        self.due: list[tuple[float, Case]] = []
        """When each fresh case ends, on the event loop's clock, for those that are watched."""

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return sum(spending.calls for spending in self._spending.values())

    @property
    def cost(self) -> float:
        """What they did cost, in US dollars."""
        return sum(spending.usd for spending in self._spending.values())

    @property
    def concurrency(self) -> int:
        """Calls under way at once, at most."""
        return self._options.concurrency or max(file.defaults.concurrency for file in self._files)

    def cases(self) -> Iterator[Case]:
        """All cases, the highest priority first, else in the files' order."""
        entries = [(entry, file) for file in self._files for entry in file.entries]
        for entry, file in sorted(entries, key=lambda pair: -pair[0].options.priority):
            yield from msgspec.structs.replace(file, entries=(entry,)).cases()

    async def run(self, calls: WarmCalls) -> None:
        """Warm every case that is not fresh."""
        queue = self.cases()
        gate = asyncio.Semaphore(BATCHED_AT_ONCE)
        async with asyncio.TaskGroup() as workers:

            async def work() -> None:
                for case in queue:
                    if self.stopped is not None:
                        return
                    if self._is_batched(case, calls):
                        await gate.acquire()
                        workers.create_task(self._within(case, calls)).add_done_callback(lambda _: gate.release())
                    else:
                        await self._within(case, calls)

            for _ in range(self.concurrency):
                workers.create_task(work())

    async def _within(self, case: Case, calls: WarmCalls) -> None:
        """Warm a case; what the budget does not cover ends the run."""
        try:
            await self.warm(case, calls)
        except BudgetExceededError as exceeded:
            self.stopped = exceeded.told
            self.stops_as_error = self._by_path[case.path].budget.on_exceed == "error"

    def _is_batched(self, case: Case, calls: WarmCalls) -> bool:
        """Whether calls of the case's operation are sent together: then many wait at once, and few are sent."""
        known = self._batched.get(case.operation)
        if known is None:
            try:
                known = calls.is_batched(self._surface(case), case.operation, case.params)
            except Exception:  # noqa: BLE001 - told when it is called
                known = False
            self._batched[case.operation] = known
        return known

    async def warm(self, case: Case, calls: WarmCalls, *, reload: bool = False) -> Status:
        """Warm one case, with `reload` also a fresh one; what became of it. Raises BudgetExceededError."""
        started = time.perf_counter()
        surface = self._surface(case)
        try:
            standing = await calls.standing(surface, case.operation, case.params)
        except Exception as error:  # noqa: BLE001 - one case's failure is its own
            return self._end(case, None, "failed", started, failure=failure_of(error), error=told(error))
        status = None if reload else self._standing_status(case, standing)
        if status is not None:
            self._note_due(case, standing.fresh_for)
            return self._end(case, standing.key, status, started)
        if standing.key is None:
            failure = Failure(kind="no key")
            return self._end(case, None, "failed", started, failure=failure, error=standing.bypass)
        return await self._call(case, surface, standing, calls, started, reload=reload or case.skip_if == "never")

    def _standing_status(self, case: Case, standing: Standing) -> Status | None:
        """What is to be said of a case without a call; None for one that is to be called."""
        is_there = standing.fresh_for is not None if case.skip_if != "exists" else standing.exists
        if is_there and case.skip_if != "never":
            return "fresh"
        if standing.key is None:
            return None
        ended = self._journal.ended(standing.key)
        if ended is not None and ended.state == "warmed":
            return "fresh"
        return "uncertain" if self._journal.is_uncertain(standing.key) and not self._options.again else None

    async def _call(
        self,
        case: Case,
        surface: CallSurface,
        standing: Standing,
        calls: WarmCalls,
        started: float,
        *,
        reload: bool,
    ) -> Status:
        key = standing.key or ""
        known: Standing | None = standing
        retries = self._by_path[case.path].defaults.retries
        rate = self._rate(case)
        spending = self._spending[case.path]
        ceiling = self._estimates.of(case).ceiling or 0.0
        attempt = 0
        spent = 0.0
        while True:
            attempt += 1
            await self._live_first(case)
            await rate.turn()
            with spending.reserved(ceiling) as reservation:
                self._journal.begin(key)
                self._under_way += 1
                try:
                    loaded = await calls.load(
                        surface,
                        case.operation,
                        case.params,
                        reload=reload,
                        outlives=case.ttl is not None,
                        standing=known,
                    )
                finally:
                    self._under_way -= 1
                reservation.cost = loaded.cost
                reservation.is_made = loaded.status != "fresh"
            known = None
            spent += loaded.cost
            failure = _failure(loaded)
            if failure is None:
                self._journal.end(key, "warmed", spent)
                self._note_due(case, loaded.fresh_for)
                return self._end(case, key, loaded.status, started, cost=spent, attempts=attempt)
            if failure.is_too_many:
                rate.refused(failure.retry_after)
            if not failure.may_pass or attempt > retries.max:
                break
            await asyncio.sleep(_wait(failure, retries.first, attempt, grows=retries.backoff == "exponential"))
        self._journal.end(key, "failed", spent)
        why = loaded.refusal if loaded.error is None else told(loaded.error)
        return self._end(case, key, "failed", started, failure=failure, error=why, cost=spent, attempts=attempt)

    def _end(
        self,
        case: Case,
        key: str | None,
        status: Status,
        started: float,
        *,
        failure: Failure | None = None,
        error: str | None = None,
        cost: float = 0.0,
        attempts: int = 0,
    ) -> Status:
        entry = WarmedEntry(
            operation=case.operation,
            key=key,
            status=status,
            seconds=time.perf_counter() - started,
            error=error,
            name=case.name,
            path=case.path.as_posix(),
            line=case.line,
            cost=cost,
            attempts=attempts,
        )
        self.tally.add(entry, None if failure is None else failure.kind)
        self._on_entry(entry)
        return status

    def _note_due(self, case: Case, fresh_for: float | None) -> None:
        if fresh_for is not None and self._by_path[case.path].warm.refresh_ahead is not None:
            self.due.append((asyncio.get_running_loop().time() + fresh_for, case))

    def _surface(self, case: Case) -> CallSurface:
        """The cache under the case's ttl, and a jitter, so that what is warmed together does not end together."""
        jitter = self._by_path[case.path].warm.ttl_jitter
        known = self._views.get((case.ttl, jitter))
        if known is None:
            known = (
                self._cache.using(jitter=jitter) if case.ttl is None else self._cache.using(ttl=case.ttl, jitter=jitter)
            )
            self._views[case.ttl, jitter] = known
        return known

    def _rate(self, case: Case) -> AdaptiveRate:
        """The rate of the case's provider; where none is named, of its operation."""
        highest = self._by_path[case.path].defaults.rate
        return self._rates.setdefault((case.provider or case.operation, highest), AdaptiveRate(highest))

    async def _live_first(self, case: Case) -> None:
        """With `yield_to_live`, wait while calls of this process are under way that are none of ours."""
        if self._by_path[case.path].warm.yield_to_live:
            # Nothing tells when another's flight ends.
            while len(self._cache.engine.flights) > self._under_way:  # noqa: ASYNC110 - as said
                await asyncio.sleep(_LIVE_POLL)

    def estimate(self, standing: Standing, case: Case) -> tuple[Status | None, float | None, float | None]:
        """For a dry run: what stands, and the ceiling and the expected cost of the call that would be made."""
        status = self._standing_status(case, standing)
        estimate = self._estimates.of(case)
        return status, estimate.ceiling, estimate.expected

    def surface_of(self, case: Case) -> CallSurface:
        """The cache under the case's policy."""
        return self._surface(case)


def check_mode(cache: UnifiedAPICache) -> None:
    """Raises InputError when the cache is off."""
    if cache.mode == "off":
        raise InputError(
            "the application's cache is off, so calls would be made and nothing kept; "
            'unset APICACHE=off (or set APICACHE=on), and mode = "off" under [tool.apicache]'
        )


def _failure(loaded: Loaded) -> Failure | None:
    if loaded.error is not None:
        return failure_of(loaded.error)
    return None if loaded.refusal is None else failure_of_answer(loaded.value, loaded.refusal)


def _wait(failure: Failure, first: float, attempt: int, *, grows: bool) -> float:
    """Seconds before the next attempt; at random within a half to three halves, so that many do not come at once."""
    if failure.retry_after is not None:
        return failure.retry_after
    length = min(_LONGEST_WAIT, first * 2 ** (attempt - 1)) if grows else first
    return length * (0.5 + random.random())  # noqa: S311 - nothing is secret
