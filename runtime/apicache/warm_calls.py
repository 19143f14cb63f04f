"""Single calls of a warmer: what the cache has of a call, and what loading it gives."""

import asyncio
import concurrent.futures
import functools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

import msgspec

from apicache.core import Judged, end_of
from apicache.engine import Engine, batched_load
from apicache.entry import Verdict
from apicache.errors import InputError
from apicache.planning import Plan
from apicache.surface import CallSurface
from apicache.thread_loads import in_pool
from apicache.warming import prepare

_NO_KEY: Final = "it has no key"
_FLUSH_SECONDS: Final = 5.0
"""How long one look whether the tiers have written may take."""
_PATIENCE: Final = 30.0
"""Seconds that a warmer waits for a tier that has failed to take what was loaded: it was paid for."""
_PAUSE: Final = 0.1


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the tiers have of a call.

    `fresh_for` is how many seconds its entry stays fresh for the caller, None when it is not; `key` is in hexadecimal
    digits, None for a call that has none, with the reason in `bypass`. `plan` is the call's, with what was found.
    """

    key: str | None
    fresh_for: float | None = None
    exists: bool = False
    bypass: str | None = None
    plan: Plan


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call: `fresh` when somebody else had loaded it meanwhile.

    A failed one has an `error`, or a `refusal`, which says why the answer (`value`) was not stored. `seconds` is what
    the call took, `cost` in US dollars what it did cost.
    """

    status: Literal["warmed", "fresh", "failed"]
    seconds: float
    cost: float = 0.0
    error: Exception | None = None
    refusal: str | None = None
    value: Any = None
    fresh_for: float | None = None


class WarmCalls:
    """Makes calls through a cache, or a view of it with a policy, ahead of their time; entered while it does.

    `concurrency` is how many are under way at once, at most: sync operations run in as many threads, begun as they are
    needed.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._run: Callable[[Callable[[], Any]], Any] | None = None
        """One for all calls: those of a batch agree in it."""
        self._patience = _PATIENCE
        self._flushing: asyncio.Future[None] | None = None
        self._flushing_next: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        """Nothing is begun."""
        self._threads = concurrent.futures.ThreadPoolExecutor(self._concurrency, thread_name_prefix="apicache-warm")
        self._run = functools.partial(in_pool, self._threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Calls under way in threads go on by themselves."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def is_batched(surface: CallSurface, operation: str, params: Mapping[str, Any]) -> bool:
        """Whether calls of an operation that are under way at once are sent together."""
        return batched_load(surface.plan_of(operation=operation, **params)) is not None

    async def standing(self, surface: CallSurface, operation: str, params: Mapping[str, Any]) -> Standing:
        """What the tiers have, counted as nothing; raises InputError for an unknown operation."""
        plan = surface.plan_of(operation=operation, **params)
        if plan.key is None:
            return Standing(key=None, bypass=plan.bypass or _NO_KEY, plan=plan)
        judged = await _stored(surface.engine, plan)
        return Standing(
            key=plan.key.hex(),
            fresh_for=_fresh_for(surface.engine, plan, judged),
            exists=judged is not None,
            plan=plan,
        )

    async def load(
        self,
        surface: CallSurface,
        operation: str,
        params: Mapping[str, Any],
        *,
        reload: bool = False,
        outlives: bool = False,
        standing: Standing | None = None,
    ) -> Loaded:
        """Make the call unless a fresh entry exists, with `reload` even then; what it raises is in the result.

        Callers who ask meanwhile share it. It has ended when every tier has the entry. With `outlives` the entry is
        fresh for the ttl of this surface, also for callers whose own is shorter. `standing` is what was found just now,
        for one load: it is not looked for again.
        """
        engine, run = surface.engine, self._run
        if run is None:
            raise InputError("WarmCalls was not entered; write `with WarmCalls(8) as calls:`")
        started = engine.clock.monotonic()
        try:
            plan = surface.plan_of(operation=operation, **params) if standing is None else standing.plan
            plan.reloads, plan.outlives = reload, outlives
            prepare(plan, run)
            answer = await engine.answer(plan)
        except Exception as error:  # noqa: BLE001 - a call's failure is its result, whatever it raised
            return Loaded(status="failed", seconds=engine.clock.monotonic() - started, error=error)
        is_loaded = answer.source == "load"
        refusal = answer.refusal
        if answer.source == "bypass":
            refusal = refusal or plan.bypass or "the cache is off"
        elif refusal is None and is_loaded:
            refusal = await self._kept(engine, plan)
        seconds = engine.clock.monotonic() - started
        if refusal is not None:
            return Loaded(status="failed", seconds=seconds, refusal=refusal, value=answer.value)
        judged = await _stored(engine, plan)
        return Loaded(
            status="warmed" if is_loaded else "fresh",
            seconds=seconds,
            cost=judged.entry.cost if judged is not None and is_loaded else 0.0,
            fresh_for=_fresh_for(engine, plan, judged),
        )

    async def _kept(self, engine: Engine, plan: Plan) -> str | None:
        """Wait until every tier has a loaded entry, all that wait for it together; why one has not."""
        if not engine.tiers.far or plan.key is None:
            return None
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while True:
            if self._flushing_next is None:
                self._flushing_next = asyncio.ensure_future(self._flush(engine, self._flushing))
            await asyncio.shield(self._flushing_next)
            refusal = engine.unwritten(plan.key)
            if refusal is None:
                self._patience = _PATIENCE
                return None
            if loop.time() >= until:
                self._patience = 0.0  # the next ones need not find that out again
                return refusal
            await asyncio.sleep(_PAUSE)  # what a tier could not take, the writer tries again

    async def _flush(self, engine: Engine, before: "asyncio.Future[None] | None") -> None:
        if before is not None:  # what was put while that one was under way is not among what it waits for
            await asyncio.wait([before])
        self._flushing, self._flushing_next = self._flushing_next, None
        await engine.off_loop(engine.writer.flush, _FLUSH_SECONDS)


async def _stored(engine: Engine, plan: Plan) -> Judged | None:
    """The newest entry that the tiers have; the plan is told what the far ones had."""
    near = engine.near(plan)
    if near is not None or not engine.tiers.far or plan.key is None:
        return near
    found = engine.waiting(plan)
    if found is None:
        found = await engine.read(plan.key)
        plan.far, plan.has_looked_far = found, True
    return engine.judge(plan, found)


def _fresh_for(engine: Engine, plan: Plan, judged: Judged | None) -> float | None:
    if judged is None or judged.verdict not in (Verdict.FRESH, Verdict.EARLY):
        return None
    return max(0.0, end_of(plan.policy, judged.entry) - engine.clock.now())
