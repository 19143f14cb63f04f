"""The sync edge: makes the flow's steps in the caller's thread, and waits for flights."""

import contextvars
import inspect
import threading
import time
from typing import Any

from apicache.core import Judged, Route, not_awaitable
from apicache.far_hits import Missed
from apicache.flights import AbandonedError, Flight, Loading, WaitedTooLongError
from apicache.flow import Answer, Flow, Make, Read, Run, Step, Steps, has_timeout, waits
from apicache.planning import Plan
from apicache.stack import Found, Reading
from apicache.storing import Outcome, finished, outcome_of


class _IsAsyncError(TypeError):
    """What a sync caller has called is async: its own mistake, and none of the others that wait for the flight."""


class _NotThereError(Exception):
    """It would be another call in the thread that was to make it."""


class SyncEdge(Flow):
    """Answers sync callers."""

    def answer_sync(self, plan: Plan) -> Answer:
        """Answer a sync caller's call; the load runs in the caller's thread, unless the policy has a timeout."""
        leaves, is_missing = plan.is_blocking and has_timeout(plan.policy), plan.is_missing
        if not is_missing:
            route = self.route(plan)
            if route is not Route.CACHE or plan.instead is not None:
                return self._aside_sync(plan, route)
        while True:
            found = self._look_first_sync(plan, is_missing=is_missing)
            is_missing = False
            if found is not None:
                return found
            # Who cannot make the call leads no flight: its refusal is not for the async callers that join.
            may_lead = not inspect.iscoroutinefunction(plan.load)
            flight, leads = self.flights.join(plan.key or b"", None, may_lead=may_lead, is_bound=plan.is_bound)
            if flight is None:
                return self._by_itself_sync(plan)
            if leads and not leaves:
                return self._led(plan, self._lead_sync(plan, flight))
            try:
                return self._fly_out_sync(plan, flight, leads=leads)
            except AbandonedError:
                continue
            except _NotThereError:
                leaves = False

    def _fly_out_sync(self, plan: Plan, flight: Flight[Outcome], *, leads: bool) -> Answer:
        """Wait for a flight, which who leads it leads in a thread; raises AbandonedError for who has not led it."""
        if leads:
            self._lead_in_thread(plan, flight)
        try:
            answer = self._arrive_sync(plan, flight, leads)
        except AbandonedError as abandoned:
            if not leads or abandoned.by is None:
                raise
            interruption = abandoned.by
        else:
            return answer or self._by_itself_sync(plan)
        raise interruption  # here, where it is in no chain with what told of it

    def _answer_by_any_sync(self, plan: Plan, route: Route) -> Answer:
        """Answer by the first call that succeeds."""
        while True:
            instead, plan.instead = plan.instead, None
            if plan.load_sync is not None:
                plan.load, plan.is_async, plan.is_blocking = plan.load_sync, False, True
            try:
                return self.answer_sync(plan) if route is Route.CACHE else self._aside_sync(plan, route)
            except Exception as error:
                if instead is None:
                    raise
                plan = instead(plan, error)
            route = self.route(plan)

    def answer_missed_sync(self, missed: Missed) -> Any:
        """The result for a sync caller, as `answer_sync`; a hit in the far tiers goes the short way."""
        key = missed.key
        if self.writer.waiting(key) is None:
            found = self._read_sync(key)
            hit = None if found is None else missed.hits.hit(key, found)
            if hit is not None:
                return hit[0]
            plan = missed.plan()
            answer = self._from_far(plan, found)
            if answer is not None:
                return answer.value
        else:  # the flow takes that
            plan = missed.plan()
        plan.is_missing = True
        return self.answer_sync(plan).value

    def look_up_sync(self, plan: Plan) -> tuple[Answer | None, Judged | None]:
        """As `look_up`, for sync code."""
        near = self.near(plan)
        answer = self.fresh(plan, near)
        if answer is not None or not self.uses(plan, self.tiers.far):
            return answer, near
        found = self.waiting(plan) or self._read_sync(plan.key or b"")
        return self._from_far(plan, found), self.newer(near, self.judge(plan, plan.far))

    def _look_first_sync(self, plan: Plan, *, is_missing: bool) -> Answer | None:
        """A look at the tiers before there is a flight; not at those where it is known to be missing."""
        near = None if is_missing else self._from_near(plan)
        if near is not None:
            return near
        return None if is_missing and plan.has_looked_far else self._look_far_first_sync(plan)

    def _look_far_first_sync(self, plan: Plan) -> Answer | None:
        """A look of this call's own at the far tiers: an answer there needs no flight."""
        if not self.may_look_far(plan):
            return None
        return self._from_far(plan, self._read_sync(plan.key or b""))

    def _stored_sync(self, plan: Plan) -> Answer | None:
        """What a flight would have found stored, for a call that cannot be made."""
        answer, best = self.look_up_sync(plan)
        outcome = None if answer is not None else self._served(plan, best) or self._instead(plan, best)
        return answer if outcome is None else self._led(plan, outcome)

    def _arrive_sync(self, plan: Plan, flight: Flight[Outcome], leads: bool) -> Answer | None:  # noqa: FBT001 - of join
        latest = self.tiers.markers.latest
        for seconds in waits(plan.policy):
            try:
                outcome = self.flights.wait(flight, seconds)
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

    def _by_itself_sync(self, plan: Plan) -> Answer:
        stored = self._stored_sync(plan) if inspect.iscoroutinefunction(plan.load) else None
        if stored is not None:
            return stored
        start = self.start()
        value = not_awaitable(plan, plan.load())
        return self._led(plan, self.settle(plan, outcome_of(plan, value, self.load_of(start)), start))

    def _lead_sync(self, plan: Plan, flight: Flight[Outcome]) -> Outcome:
        try:
            with Loading(flight):
                outcome = self._run(plan, self.flow(plan, flight))
        except _IsAsyncError as error:
            self.flights.land_with(flight, AbandonedError(error))
            raise
        except Exception as error:  # every waiter raises what this caller raises
            self.flights.land_with(flight, error)
            raise
        except BaseException as error:
            self.flights.land_with(flight, AbandonedError(error))
            raise
        self.flights.land(flight, outcome)
        return outcome

    def _lead_in_thread(self, plan: Plan, flight: Flight[Outcome]) -> None:
        """Lead it where this thread can stop waiting for it.

        A thread of its own: in a pool that is full of such loads, those that they call in turn would never begin.
        """
        run = contextvars.copy_context().run
        try:
            threading.Thread(
                target=run, args=(self._land_sync, plan, flight), name="apicache-load", daemon=True
            ).start()
        except RuntimeError:  # no more threads, or the interpreter is ending
            self._land_sync(plan, flight)

    def _land_sync(self, plan: Plan, flight: Flight[Outcome]) -> None:
        """Lead a flight in a thread that nobody waits for: its outcome and its errors are the waiters'.

        Not where it would be another call: what it loads there is not what the flight's callers asked for.
        """
        try:
            if plan.is_same_here():
                self._lead_sync(plan, flight)
            else:
                self.flights.land_with(flight, AbandonedError(_NotThereError()))
        except BaseException as error:  # noqa: BLE001 - the waiters'; a refresh's error is counted and has no reader
            self.flights.land_with(flight, AbandonedError(error))  # nothing, if it has landed with it

    def _run(self, plan: Plan, flow: Steps) -> Outcome:
        try:
            step = next(flow)
            while True:
                try:
                    result = self._do_sync(plan, step)
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as ended:
            outcome: Outcome = ended.value
            return outcome

    def _do_sync(self, plan: Plan, step: Step) -> Any:
        if isinstance(step, Make):
            result = step.load()
            try:
                return not_awaitable(plan, result)
            except TypeError as error:
                raise _IsAsyncError(*error.args) from None
        if isinstance(step, Read):
            return self._read_sync(step.key)
        if isinstance(step, Run):
            return step.work()
        time.sleep(step.seconds)
        return None

    def _read_sync(self, key: bytes) -> Found | None:
        if self.tiers.self_bounded:
            return self.tiers.find_far(key, self.clock.now())
        reading = Reading()
        doing = self.submit(self.read_far, (key,), reading)
        try:
            return None if doing is None else doing.result(self.setup.timeout).get(key)
        except TimeoutError:
            self.tiers.timed_out(reading)
            return None

    def _aside_sync(self, plan: Plan, route: Route) -> Answer:
        if plan.instead is not None:
            return self._answer_by_any_sync(plan, route)
        if route is Route.SHADOW:
            found = self.near(plan)
            if found is None and self.tiers.far:
                found = self.judge(plan, self._read_sync(plan.key or b""))
            start = self.start()
            outcome = outcome_of(plan, not_awaitable(plan, plan.load()), self.load_of(start))
            self.compare(plan, found, outcome)
            return self._led(plan, self.settle(plan, outcome, start))
        if route is Route.OBSERVE:
            self.observe(plan)
        value = not_awaitable(plan, plan.load())
        if route is Route.WRITE:
            self._announce(self.after_write(plan, value))
        return Answer(finished(plan, value), "bypass", plan.bypass)
