"""The engine: one flow decides, two thin edges wait for it; and what concerns a cache as a whole."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from apicache.async_edge import AsyncEdge
from apicache.core import Judged, Route
from apicache.entry import Verdict
from apicache.far_hits import FarHits, Missed
from apicache.flights import AbandonedError, Flight
from apicache.flow import Answer, Steps
from apicache.planning import Plan
from apicache.resources import Built
from apicache.sync_edge import SyncEdge

if TYPE_CHECKING:
    from apicache.batching.collectors import BatchedLoad
    from apicache.stack import Found
    from apicache.storing import Outcome
    from apicache.streams.streams import Streams

_FLUSH_POLL_SECONDS: Final = 0.002
_CLOSE_SECONDS: Final = 5.0


class Engine(AsyncEdge, SyncEdge):
    """One cache: what it decides, and the two ways to wait for it."""

    @Built
    def streams(self) -> "Streams":
        """The streams that are received."""
        from apicache.streams.streams import Streams  # noqa: PLC0415 - for caches that stream

        return Streams(self)

    def flow(self, plan: Plan, flight: "Flight[Outcome]") -> Steps:
        """As the base's; a batched operation's batches wait for the calls that are on their way to them."""
        steps = super().flow(plan, flight)
        load = batched_load(plan)
        return steps if load is None else load.announced(steps)

    def refresh(self, plan: Plan, judged: Judged) -> None:
        """Load anew what was just served, for the next callers; nothing when that is under way already."""
        if judged.verdict is Verdict.EARLY:
            self.count(plan, "early_refreshes", "early_refresh")
        loop = asyncio._get_running_loop() if plan.is_async else None  # noqa: SLF001 - documented; None without one
        flight, leads = self.flights.join(plan.key or b"", loop)
        if flight is None:
            return
        flight.kept = True
        self.flights.leave(flight)
        if not leads:
            return
        plan.is_refresh, plan.has_looked_far = True, False
        if loop is not None:
            self.flights.launch_later(flight, self._fly(self.flow(plan, flight)))
        else:
            self.submit_refresh(self._land_sync, plan, flight)

    def stats(self) -> dict[str, Any]:
        """Every counter, and what the tiers that answer without I/O hold."""
        sizes = {tier.name: tier.size() for tier in self.tiers.near}
        return {
            "mode": str(self.switch),
            **self.statistics.as_dict(self.clock.monotonic()),
            "bytes": sum(size.bytes for size in sizes.values()),
            "evictions": sum(size.evictions or 0 for size in sizes.values()),
            "tiers": {name: {"entries": size.entries, "bytes": size.bytes} for name, size in sizes.items()},
            "breakers": {name: breaker.state for name, breaker in self.tiers.breakers.items()},
        }

    def flush(self, seconds: float) -> bool:
        """Wait for refreshes, streams, and what waits to be written, at most so long; whether it all ended."""
        end = time.monotonic() + seconds
        while self._under_way() and time.monotonic() < end:
            time.sleep(_FLUSH_POLL_SECONDS)
        written = self.writer.flush(max(0.0, end - time.monotonic()))
        if self.usage is not None:
            self.usage.flush()
        return written and not self._under_way()

    def _under_way(self) -> int:
        """How many loads and streams have not ended."""
        streams: Streams | None = vars(self).get("streams")  # asked for by its name it would be built
        return len(self.flights) + (0 if streams is None else len(streams))

    def close(self) -> None:
        """Write what waits, and release what the tiers hold open; the next call opens it again."""
        self.writer.flush(_CLOSE_SECONDS)
        if self.usage is not None:
            self.usage.flush()
        self.tiers.close()

    async def answer_many(
        self, calls: Sequence[Plan | Missed], concurrency: int, wave: int | None = None
    ) -> list[Answer | BaseException]:
        """Answers in the calls' order, an exception in the place of each call that failed.

        At most `wave` of them are loaded before the next ones begin, and at most `concurrency` at a time; calls of
        batched operations, which have a bound of their own, are not held back by that.
        """
        answers: dict[int, Answer | BaseException] = {}
        missed: dict[int, Missed] = {}
        missing: dict[int, tuple[Route, Plan]] = {}
        for position, call in enumerate(calls):
            if isinstance(call, Missed):
                missed[position] = call
                continue
            route = self.route(call)
            try:
                near = self._from_near(call) if route is Route.CACHE else None
            except Exception as error:  # noqa: BLE001 - its place is the caller's to raise
                answers[position] = error
                continue
            if near is None:
                missing[position] = (route, call)
            else:
                answers[position] = near
        if self.tiers.far:
            looked_up = {position: plan for position, (route, plan) in missing.items() if route is Route.CACHE}
            await self._answer_far(looked_up, missed, answers)
        if len(answers) < len(calls):
            missing |= {place: (Route.CACHE, call.plan()) for place, call in missed.items() if place not in answers}
        missing = {position: call for position, call in missing.items() if position not in answers}
        if missing:
            await self._load_many(missing, concurrency, wave or len(missing), answers)
        return [answers[position] for position in range(len(calls))]

    async def _load_many(
        self,
        missing: Mapping[int, tuple[Route, Plan]],
        concurrency: int,
        wave: int,
        answers: dict[int, Answer | BaseException],
    ) -> None:
        gate = asyncio.Semaphore(concurrency)

        async def load(alike: Mapping[int, Plan], route: Route, first: Plan) -> None:
            async with gate if batched_load(first) is None else contextlib.nullcontext():
                loaded = await self._answer_alike(route, tuple(alike.values()))
            answers.update(zip(alike, loaded, strict=True))

        by_key: dict[bytes | int, dict[int, Plan]] = {}
        for position, (_, plan) in sorted(missing.items()):
            by_key.setdefault(position if plan.key is None else plan.key, {})[position] = plan
        waiting = list(by_key.values())
        for begin in range(0, len(waiting), wave):
            async with asyncio.TaskGroup() as loads:
                for alike in waiting[begin : begin + wave]:
                    loads.create_task(load(alike, *missing[next(iter(alike))]))

    async def _answer_alike(self, route: Route, plans: Sequence[Plan]) -> Sequence[Answer | BaseException]:
        """Answers to calls of one key: one flight's, where the cache may answer them."""
        first, *others = plans
        is_usual = not others and batched_load(first) is None
        if is_usual or route is not Route.CACHE or first.instead is not None:
            return await self._answer_each(route, plans)
        latest = self.tiers.markers.latest
        flight, leads = self.flights.join(first.key or b"", asyncio.get_running_loop())
        if flight is None:  # inside a load that waiting for it would hold up
            return await self._answer_each(route, plans)
        answer = await _caught(self._answer_in, first, flight, leads)
        alike = [_caught(self._answer_after, plan, flight, latest) for plan in others]
        return [answer, *await asyncio.gather(*alike)]

    async def _answer_each(self, route: Route, plans: Sequence[Plan]) -> Sequence[Answer | BaseException]:
        if len(plans) == 1:
            return [await _caught(self._answer_on, route, plans[0])]
        return await asyncio.gather(*(_caught(self._answer_on, route, plan) for plan in plans))

    async def _answer_in(self, plan: Plan, flight: "Flight[Outcome]", leads: bool) -> Answer:  # noqa: FBT001 - of join
        """The answer of a flight that was just joined."""
        if leads:
            self.flights.launch(flight, self._fly(self.flow(plan, flight)))
        try:
            return await self._fly_out(plan, flight, leads=leads)
        except AbandonedError:
            return await self._answer_on(Route.CACHE, plan)

    async def _answer_after(self, plan: Plan, flight: "Flight[Outcome]", latest: float) -> Answer:
        """A call's own copy of what another call's flight has landed with."""
        if not flight.done:
            return await self._answer_on(Route.CACHE, plan)
        try:
            return self._followed(plan, flight.result(), latest) or await self._by_itself(plan)
        except AbandonedError:
            return await self._answer_on(Route.CACHE, plan)

    async def _answer_far(
        self,
        plans: Mapping[int, Plan],
        missed: Mapping[int, Missed],
        answers: dict[int, Answer | BaseException],
    ) -> None:
        """Read all that is not near, and does not wait to be written, at once, and answer what is fresh."""
        asked = {call.key for call in missed.values()} | {plan.key for plan in plans.values() if plan.key is not None}
        keys = tuple(key for key in asked if self.writer.waiting(key) is None) if self.writer.is_waited_for() else asked
        reading: Mapping[bytes, Found] | None = None
        if keys:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self.tiers.self_bounded else self.setup.timeout):
                    reading = await self.off_loop(self.read_far, tuple(keys))
        if not reading:
            return
        operations: dict[FarHits, dict[int, Missed]] = {}
        for position, call in missed.items():
            operations.setdefault(call.hits, {})[position] = call
        for hits, calls in operations.items():
            hits.answer(calls, reading, Answer, answers)
        for position, plan in plans.items():
            answer = self._from_far(plan, reading.get(plan.key or b""))
            if answer is not None:
                answers[position] = answer
            plan.far, plan.has_looked_far = None, False  # when its load begins, it is no longer just now


def batched_load(plan: Plan) -> "BatchedLoad | None":
    """The load of a call of a batched operation; None for another one. Caches that batch nothing do not import it."""
    load: Any = plan.load
    return load if hasattr(load, "announced") else None


async def _caught(answer: Callable[..., Coroutine[Any, Any, Answer]], *arguments: Any) -> Answer | BaseException:
    """The answer, or the exception for the caller to raise."""
    try:
        return await answer(*arguments)
    except Exception as error:  # noqa: BLE001 - its place is the caller's to raise
        return error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return error  # the load's own: nobody has cancelled this call
