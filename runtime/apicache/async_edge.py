"""The async edge: waits for the flow's steps in an event loop, and for flights."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from apicache.core import Judged, Route, Start, awaited
from apicache.far_hits import Missed
from apicache.flights import AbandonedError, Flight, WaitedTooLongError
from apicache.flow import Answer, Flow, Make, Read, Run, Step, Steps, waits
from apicache.planning import Plan
from apicache.reads import BatchedReads
from apicache.storing import Outcome, finished, outcome_of
from apicache.thread_loads import InThreads, in_own_thread

if TYPE_CHECKING:
    from apicache.stack import Found


class AsyncEdge(Flow):
    """Answers async callers."""

    _reads: BatchedReads | None = None

    def answer(self, plan: Plan) -> Coroutine[Any, Any, Answer]:
        """Answer an async caller's call. Raises what the call raises, LoadTimeoutError past its hard timeout."""
        return self._answer_on(Route.CACHE if plan.is_missing else self.route(plan), plan)

    async def _answer_on(self, route: Route, plan: Plan) -> Answer:
        if route is not Route.CACHE or plan.instead is not None:
            return await self._aside(plan, route)
        if plan.flight is not None:
            return await self._fly_out(plan, plan.flight, leads=True)
        is_missing = plan.is_missing
        while True:
            near = None if is_missing else self._from_near(plan)
            if near is not None:
                return near
            loop = asyncio._get_running_loop()  # noqa: SLF001 - documented; None without one
            far = None
            if loop is not None and not (is_missing and plan.has_looked_far):
                far = await self._look_far_first(plan)
            is_missing = False
            if far is not None:
                return far
            # In another kind of event loop, nothing here can wait.
            join, key = self.flights.join, plan.key or b""
            flight, leads = (None, False) if loop is None else join(key, loop, is_bound=plan.is_bound)
            if flight is None:
                return await self._by_itself(plan)
            if leads:
                self.flights.launch(flight, self._fly(self.flow(plan, flight)))
            try:
                return await self._fly_out(plan, flight, leads=leads)
            except AbandonedError:
                continue

    async def _answer_by_any(self, plan: Plan, route: Route) -> Answer:
        """Answer by the first call that succeeds. Each has a flight of its own: who joins one asked for just that."""
        while True:
            instead, plan.instead = plan.instead, None
            try:
                return await self._answer_on(route, plan)
            except Exception as error:
                if instead is None:
                    raise
                plan = instead(plan, error)
            route = self.route(plan)

    async def _fly_out(self, plan: Plan, flight: Flight[Outcome], *, leads: bool) -> Answer:
        """Wait for a flight; raises AbandonedError for who has not led it."""
        try:
            if leads and flight.done:  # the load had nothing to wait for
                return self._led(plan, self.flights.landed(flight))
            answer = await self._arrive(plan, flight, leads)
        except AbandonedError as abandoned:
            if not leads:
                raise
            interruption = abandoned.by
        else:
            return answer or await self._by_itself(plan)
        raise asyncio.CancelledError if interruption is None else interruption

    async def answer_missed(self, missed: Missed) -> Any:
        """The result for an async caller, as `answer`; a hit in the far tiers goes the short way."""
        key = missed.key
        if self.writer.waiting(key) is None and asyncio._get_running_loop() is not None:  # noqa: SLF001 - as above
            found = await self._batched_reads().read(key)
            hit = None if found is None else missed.hits.hit(key, found)
            if hit is not None:
                return hit[0]
            plan = missed.plan()
            answer = self._from_far(plan, found)
            if answer is not None:
                return answer.value
        else:  # the flow takes that, or nothing here can wait
            plan = missed.plan()
        plan.is_missing = True
        return (await self._answer_on(Route.CACHE, plan)).value

    async def look_up(self, plan: Plan) -> tuple[Answer | None, Judged | None]:
        """A fresh answer that the tiers have, None where the call has to be made; and the entry there is, if any."""
        near = self.near(plan)
        answer = self.fresh(plan, near)
        if answer is not None or not self.uses(plan, self.tiers.far):
            return answer, near
        found = self.waiting(plan) or await self._batched_reads().read(plan.key or b"")
        return self._from_far(plan, found), self.newer(near, self.judge(plan, plan.far))

    async def _look_far_first(self, plan: Plan) -> Answer | None:
        """A look of this call's own at the far tiers: an answer there needs no flight."""
        if not self.may_look_far(plan):
            return None
        return self._from_far(plan, await self._batched_reads().read(plan.key or b""))

    async def _arrive(self, plan: Plan, flight: Flight[Outcome], leads: bool) -> Answer | None:  # noqa: FBT001 - of join
        latest = self.tiers.markers.latest
        owns = leads and plan.is_bound
        for seconds in (plan.policy.hard_timeout,) if owns else waits(plan.policy):
            try:
                outcome = await self.flights.wait_async(flight, seconds, owns=owns)
            except WaitedTooLongError:
                late = self._too_late(plan, flight)
                if late is not None:
                    return late
                self.flights.rejoin(flight)
            except AbandonedError:
                raise
            except Exception:
                if self.is_of_another(plan, flight, leads=leads):
                    return None
                raise
            else:
                return self._led(plan, outcome) if leads else self._followed(plan, outcome, latest)
        self.flights.leave(flight)
        raise self._timed_out(plan)

    async def _by_itself(self, plan: Plan) -> Answer:
        start = self.start()
        value = await _made(plan.load, _spread(plan))
        return self._led(plan, self.settle(plan, outcome_of(plan, value, self.load_of(start)), start))

    async def rest(self, plan: Plan, begun: Awaitable[Any], start: Start) -> Outcome:
        """The outcome of a load that has begun."""
        try:
            outcome = outcome_of(plan, await begun, self.load_of(start))
        except Exception as error:
            self.load_failed(plan, error)
            raise
        return self.settle(plan, outcome, start)

    async def _fly(self, flow: Steps) -> Outcome:
        try:
            step = next(flow)
            while True:
                try:
                    result = await self._do(step)
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as ended:
            outcome: Outcome = ended.value
            return outcome

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Make):
            return await _made(step.load, step.in_thread_of)
        if isinstance(step, Read):
            return await self._batched_reads().read(step.key)
        if isinstance(step, Run):
            return await self._run_whole(step.work)
        return await asyncio.sleep(step.seconds)

    async def _run_whole(self, work: Callable[[], Any]) -> Any:
        """Run something of ours that blocks; who is cancelled meanwhile waits a while for its end, to undo it."""
        doing = self.submit(work)
        if doing is None:
            return None
        running = asyncio.wrap_future(doing)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait((running,), timeout=self.setup.timeout)
            raise

    def read(self, key: bytes) -> "asyncio.Future[Found | None]":
        """What the tiers that do I/O have of a key; all that is asked for in one turn of the loop is read at once."""
        return self._batched_reads().read(key)

    def _batched_reads(self) -> BatchedReads:
        if self._reads is None:
            self._reads = BatchedReads(
                self.tiers, lambda _key, entry: self.clock.now() < entry.fresh_until, self.submit, self.setup.timeout
            )
        return self._reads

    async def _aside(self, plan: Plan, route: Route) -> Answer:
        """The routes that serve nothing, and calls that may be made otherwise."""
        if plan.instead is not None:
            return await self._answer_by_any(plan, route)
        if route is Route.SHADOW:
            found = self.near(plan)
            if found is None and self.tiers.far:
                found = self.judge(plan, await self._batched_reads().read(plan.key or b""))
            start = self.start()
            value = await _made(plan.load, _spread(plan))
            outcome = outcome_of(plan, value, self.load_of(start))
            self.compare(plan, found, outcome)
            return self._led(plan, self.settle(plan, outcome, start))
        if route is Route.OBSERVE:
            self.observe(plan)
        value = await _made(plan.load, _spread(plan))
        if route is Route.WRITE:
            markers = self.after_write(plan, value)  # here at once: a caller that is cancelled now has written
            if markers and self.tiers.shared:
                await asyncio.shield(self.off_loop(self._announce, markers))
        return Answer(finished(plan, value), "bypass", plan.bypass)

    async def off_loop(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run something of ours that blocks."""
        doing = self.submit(work, *args)
        return None if doing is None else await asyncio.wrap_future(doing)


def _spread(plan: Plan) -> Plan | None:
    """The plan, where it is made in a thread whatever its policy: as one of many."""
    return plan if plan.in_thread else None


async def _made(load: Callable[[], Any], in_thread_of: Plan | None) -> Any:
    """The result of a load, whether it is one or an awaitable of one; of a sync one in a thread, if so asked."""
    if in_thread_of is None:
        return await awaited(load())
    run = InThreads(in_own_thread, in_thread_of)
    by_threads = getattr(load, "run_by", None)  # a batch's: it is the batch's call that is made there
    return await (run(load) if by_threads is None else by_threads(run)())
