"""The engine: looks up, joins flights, loads, stores. What decides is shared; only the waiting is written twice."""

import asyncio
import concurrent.futures
import inspect
import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from apicache.clock import Clock
from apicache.entry import Entry
from apicache.flights import AbandonedError, Flight, FlightTable, loading
from apicache.modes import Mode
from apicache.planning import Plan
from apicache.stats import Statistics
from apicache.storing import Outcome, finished, outcome_of, value_of
from apicache.tier import Tier, TierStack

_log = logging.getLogger("apicache")
_REPORTS_MAX: Final = 1000
_LOADED: Final = "load"
_IO_THREADS: Final = 4


class Answer(msgspec.Struct, frozen=True):
    """A call's result and where it came from."""

    value: Any
    source: str
    """A tier's name, `flight`, `load`, or `bypass`."""
    refusal: str | None = None
    """Why a loaded result was not stored; None when it was, or when nothing was loaded."""


class Engine:
    """One cache: its tiers, flights and counters."""

    def __init__(self, build_tiers: Callable[[], Sequence[Tier]], find_mode: Callable[[], Mode], clock: Clock) -> None:
        self.clock = clock
        self.statistics = Statistics()
        self._flights: FlightTable[Outcome] = FlightTable()
        self._build_tiers = build_tiers
        self._built: TierStack | None = None
        self._find_mode = find_mode
        self._mode: Mode | None = None
        self._reported: set[tuple[str, str]] = set()
        self._building = threading.Lock()
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        after_fork = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (method := after_fork()) and method())

    def _after_fork(self) -> None:
        self._building = threading.Lock()
        self._threads = None
        self.statistics.renew_lock()

    @property
    def mode(self) -> Mode:
        """Whether calls go through the cache; found on first use."""
        if self._mode is None:
            self._mode = self._find_mode()
        return self._mode

    @property
    def tiers(self) -> TierStack:
        """The tiers, built on first use."""
        if self._built is None:
            with self._building:
                if self._built is None:
                    self._built = TierStack(self._checked_tiers(), self.clock, self.statistics.tier_error)
        return self._built

    def _checked_tiers(self) -> Sequence[Tier]:
        try:
            return self._build_tiers()
        except Exception as error:  # noqa: BLE001 - a folder that cannot be named must not make a call fail
            _log.warning("no tiers, nothing is cached: %s", error)
            return ()

    # What decides: shared by both edges below.

    def _bypasses(self, plan: Plan) -> bool:
        if self.mode == "on":
            plan.identify()
            if plan.key is not None:
                return False
        self.statistics.bypassed(plan.label)
        if plan.bypass is not None:
            self._report_once(plan.label, f"is called uncached: {plan.bypass}")
        return True

    def _hit(self, plan: Plan, found: tuple[Entry, str] | None) -> Outcome | None:
        """The outcome a tier's entry stands for; None when there is none or it can no longer be read."""
        if found is None:
            return None
        entry, tier = found
        try:
            value = value_of(entry, plan.context)
        except Exception as error:  # noqa: BLE001 - damaged bytes, or an older library's format: a miss, whatever it raises
            self.statistics.tier_error(tier)
            self._report_once(
                plan.label, f"has an entry that cannot be read ({type(error).__name__}); it is loaded anew"
            )
            return None
        self.statistics.hit(plan.label, tier, entry.compute_seconds, entry.cost)
        return Outcome(value=value, entry=entry, tier=tier)

    def _near(self, plan: Plan) -> Outcome | None:
        now = self.clock.now()
        return self._hit(plan, _young_enough(plan, self.tiers.get_near(plan.key or "", now), now))

    def _far(self, plan: Plan) -> Outcome | None:
        now = self.clock.now()
        return self._hit(plan, _young_enough(plan, self.tiers.get_far(plan.key or "", now), now))

    def _settle(self, plan: Plan, value: Any, start: "_Start") -> Outcome:
        """Count a finished load and keep it in the near tiers; the far ones are the caller's to reach."""
        self.statistics.miss(plan.label)
        outcome = outcome_of(plan, value, self.clock.monotonic() - start.at, self.clock.now())
        if outcome.refusal is None and self.tiers.clearings != start.clearings:
            outcome = msgspec.structs.replace(outcome, refusal="the cache was cleared while it loaded")
        if outcome.refusal is None and plan.has_changed():
            # Others who wait asked for what it was; only the leader may have the answer to what it has become.
            outcome = msgspec.structs.replace(outcome, entry=None, refusal="changed by its caller while it loaded")
        if outcome.refusal is not None:
            self.statistics.not_stored(plan.label)
            if outcome.entry is None:
                self._report_once(plan.label, f"is not stored: its result is {outcome.refusal}")
        elif outcome.entry is not None:
            self.statistics.stored(plan.label)
            self.tiers.set_near(plan.key or "", outcome.entry, outcome.entry.created)
        return outcome

    def _store_far(self, plan: Plan, outcome: Outcome) -> Outcome:
        if outcome.entry is None or outcome.refusal is not None:
            return outcome
        failed = self.tiers.set_far(plan.key or "", outcome.entry, outcome.entry.created)
        return outcome if failed is None else msgspec.structs.replace(outcome, refusal=f"the {failed} tier failed")

    def _led(self, plan: Plan, outcome: Outcome) -> Answer:
        return Answer(finished(plan, outcome.value), outcome.tier or _LOADED, outcome.refusal)

    def _followed(self, plan: Plan, outcome: Outcome) -> Answer | None:
        """A follower's own copy of the leader's result; None when the result cannot be copied."""
        if outcome.entry is None:
            return None
        try:
            value = value_of(outcome.entry, plan.context)
        except Exception:  # noqa: BLE001 - as in `_hit`; the follower then loads by itself
            return None
        self.statistics.coalesced(plan.label, plan.policy.cost)
        return Answer(finished(plan, value), "flight", outcome.refusal)

    def _report_once(self, label: str, what: str) -> None:
        report = (label, what)
        if report not in self._reported and len(self._reported) < _REPORTS_MAX:
            self._reported.add(report)
            _log.warning("%s %s", label, what)

    # The two edges.

    async def answer(self, plan: Plan) -> Answer:
        """Answer an async caller's call. Raises what the call raises."""
        if self._bypasses(plan):
            return Answer(finished(plan, await _awaited(plan.load())), "bypass", plan.bypass)
        while True:
            near = self._near(plan)
            if near is not None:
                return self._led(plan, near)
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # another kind of event loop: nothing here can wait in it
                return self._led(plan, self._settle(plan, await _awaited(plan.load()), self._start()))
            flight, leads = self._flights.join(plan.key or "", loop)
            if flight is None:
                return self._led(plan, await self._load(plan))
            if leads:
                self._flights.launch(flight, self._look_up_or_load(plan))
            try:
                outcome = await self._flights.wait_async(flight)
            except AbandonedError:
                if leads:
                    raise asyncio.CancelledError from None
                continue
            answer = self._led(plan, outcome) if leads else self._followed(plan, outcome)
            return answer or self._led(plan, await self._load(plan))

    async def _look_up_or_load(self, plan: Plan) -> Outcome:
        # A flight that landed between the look-up and the join has stored the entry by now.
        found = self._near(plan)
        if found is None and self.tiers.far:
            found = await self._off_loop(self._far, plan)
        return found or await self._load(plan)

    async def _load(self, plan: Plan) -> Outcome:
        start = self._start()
        outcome = self._settle(plan, await _awaited(plan.load()), start)
        if not self.tiers.far or outcome.refusal is not None:
            return outcome
        return await self._off_loop(self._store_far, plan, outcome) or outcome

    async def _off_loop(self, work: Callable[..., Outcome | None], *args: Any) -> Outcome | None:
        """Run a tier's I/O in a thread of our own: the loop's may all be taken by callers who wait for this call."""
        with self._building:
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(_IO_THREADS, thread_name_prefix="apicache")
        try:
            doing = self._threads.submit(work, *args)
        except RuntimeError:  # the interpreter is ending and takes no more work: go on without the tier
            return None
        return await asyncio.wrap_future(doing)

    def _start(self) -> "_Start":
        return _Start(self.clock.monotonic(), self.tiers.clearings)

    def answer_sync(self, plan: Plan) -> Answer:
        """Answer a sync caller's call; the load runs in the caller's thread. Raises what the call raises."""
        if self._bypasses(plan):
            return Answer(finished(plan, _not_awaitable(plan, plan.load())), "bypass", plan.bypass)
        while True:
            near = self._near(plan)
            if near is not None:
                return self._led(plan, near)
            flight, leads = self._flights.join(plan.key or "", None)
            if flight is None:
                return self._led(plan, self._load_sync(plan))
            if leads:
                return self._led(plan, self._lead_sync(plan, flight))
            try:
                outcome = self._flights.wait(flight)
            except AbandonedError:
                continue
            return self._followed(plan, outcome) or self._led(plan, self._load_sync(plan))

    def _lead_sync(self, plan: Plan, flight: Flight[Outcome]) -> Outcome:
        outcome: Outcome | BaseException = AbandonedError()
        try:
            with loading(flight):
                outcome = self._near(plan) or self._far(plan) or self._load_sync(plan)
        except Exception as error:  # every waiter raises what this caller raises
            outcome = error
            raise
        finally:
            self._flights.land(flight, outcome)
        return outcome

    def _load_sync(self, plan: Plan) -> Outcome:
        start = self._start()
        return self._store_far(plan, self._settle(plan, _not_awaitable(plan, plan.load()), start))


class _Start(NamedTuple):
    """When a load began, and how many clearings there had been."""

    at: float
    clearings: int


def _young_enough(plan: Plan, found: tuple[Entry, str] | None, now: float) -> tuple[Entry, str] | None:
    """The entry, unless this caller's own ttl is shorter than its age."""
    return None if found is None or now >= found[0].created + plan.policy.ttl else found


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _not_awaitable(plan: Plan, result: Any) -> Any:
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise TypeError(f"{plan.label} is async; write `await cached_api_call(...)` instead of cached_api_call_sync")
