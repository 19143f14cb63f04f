"""The sync edge: makes the flow's steps in the caller's thread, and waits for flights."""

import contextvars
import threading
import time
from typing import Any

from apicache.core import Route, not_awaitable
from apicache.flights import AbandonedError, Flight, Loading, WaitedTooLongError
from apicache.flow import Answer, Flow, Make, Read, Run, Step, Steps, has_timeout, waits
from apicache.planning import Plan
from apicache.stack import Found, Reading
from apicache.storing import Outcome, finished, outcome_of


class SyncEdge(Flow):
    """Answers sync callers."""

    def answer_sync(self, plan: Plan) -> Answer:
        """Answer a sync caller's call; the load runs in the caller's thread, unless the policy has a timeout."""
        is_missing = plan.is_missing
        if not is_missing:
            route = self.route(plan)
            if route is not Route.CACHE:
                return self._aside_sync(plan, route)
        while True:
            near = None if is_missing else self._from_near(plan)
            if near is not None:
                return near
            is_missing = False
            far = self._look_far_first_sync(plan)
            if far is not None:
                return far
            flight, leads = self._flights.join(plan.key or b"", None)
            if flight is None:
                return self._by_itself_sync(plan)
            if leads and not has_timeout(plan.policy):
                return self._led(plan, self._lead_sync(plan, flight))
            if leads:
                self._lead_in_thread(plan, flight)
            try:
                answer = self._arrive_sync(plan, flight, leads)
            except AbandonedError:
                continue
            return answer or self._by_itself_sync(plan)

    def _look_far_first_sync(self, plan: Plan) -> Answer | None:
        """A look of this call's own at the far tiers: an answer there needs no flight."""
        if not self.may_look_far(plan):
            return None
        return self._from_far(plan, self._read_sync(plan.key or b""))

    def _arrive_sync(self, plan: Plan, flight: Flight[Outcome], leads: bool) -> Answer | None:  # noqa: FBT001 - of join
        latest = self.tiers.markers.latest
        for seconds in waits(plan.policy):
            try:
                outcome = self._flights.wait(flight, seconds)
            except WaitedTooLongError:
                late = self._too_late(plan, flight)
                if late is not None:
                    return late
                self._flights.rejoin(flight)
            else:
                return self._led(plan, outcome) if leads else self._followed(plan, outcome, latest)
        self._flights.leave(flight)
        raise self._timed_out(plan)

    def _by_itself_sync(self, plan: Plan) -> Answer:
        start = self.start()
        value = not_awaitable(plan, plan.load())
        return self._led(plan, self.settle(plan, outcome_of(plan, value, self.load_of(start)), start))

    def _lead_sync(self, plan: Plan, flight: Flight[Outcome]) -> Outcome:
        try:
            with Loading(flight):
                outcome = self._run(plan, self.flow(plan, flight)) if self.tiers.far else self._run_near(plan, flight)
        except Exception as error:  # every waiter raises what this caller raises
            self._flights.land_with(flight, error)
            raise
        except BaseException:
            self._flights.land_with(flight, AbandonedError())
            raise
        self._flights.land(flight, outcome)
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
        """Lead a flight in a thread that nobody waits for: its outcome and its errors are the waiters'."""
        try:
            self._lead_sync(plan, flight)
        except Exception:  # noqa: BLE001 - it landed with the error; a refresh's error is counted and has no reader
            return

    def _run_near(self, plan: Plan, flight: Flight[Outcome]) -> Outcome:
        """As `_fly_near`."""
        if self.tiers.may_have_near(plan.key or b"") and self.near(plan) is not None:
            return self._run(plan, self.flow(plan, flight))
        start = self.start()
        try:
            value = not_awaitable(plan, plan.load())
            outcome = outcome_of(plan, value, self.load_of(start))
        except Exception as error:
            self.load_failed(plan, error)
            raise
        return self.settle(plan, outcome, start)

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
            return not_awaitable(plan, step.load())
        if isinstance(step, Read):
            return self._read_sync(step.key)
        if isinstance(step, Run):
            return step.work()
        time.sleep(step.seconds)
        return None

    def _read_sync(self, key: bytes) -> Found | None:
        if self.tiers.self_bounded:
            return self.read_far((key,)).get(key)
        reading = Reading()
        doing = self.submit(self.read_far, (key,), reading)
        try:
            return None if doing is None else doing.result(self.setup.timeout).get(key)
        except TimeoutError:
            self.tiers.timed_out(reading)
            return None

    def _aside_sync(self, plan: Plan, route: Route) -> Answer:
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
