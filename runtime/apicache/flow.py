"""The flow of a call that is not in memory, from look-up to outcome, as steps for whoever can wait.

It is a generator of steps and awaits nothing itself: the engine's async and sync edges run the same one.
"""

import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import msgspec

from apicache.clock import Clock
from apicache.core import Core, Judged, Start
from apicache.entry import Verdict
from apicache.errors import LoadTimeoutError
from apicache.flights import AbandonedError, Flight, FlightTable
from apicache.leases import LEASE_SECONDS, POLL_SECONDS
from apicache.markers import Marker, Scope
from apicache.packed import unpack
from apicache.planning import Plan
from apicache.policy import Policy
from apicache.resources import Setup
from apicache.stack import Found
from apicache.storing import Outcome, finished, is_failure, is_not_modified, outcome_of, renewed_outcome, value_of


class Answer(msgspec.Struct, frozen=True):
    """A call's result and where it came from."""

    value: Any
    source: str
    """A tier's name, `flight`, `load`, or `bypass`."""
    refusal: str | None = None
    """Why a loaded result was not stored; None when it was, or when nothing was loaded."""


class Read(msgspec.Struct, frozen=True):
    """Read the far tiers; gives what they found, or None."""

    key: bytes


class Run(msgspec.Struct, frozen=True):
    """Run something of ours that blocks; gives what it returns."""

    work: Callable[[], Any]


class Make(msgspec.Struct, frozen=True):
    """Make the caller's own call; gives its result or raises what it raises."""

    load: Callable[[], Any]
    in_thread_of: Plan | None = None
    """Its plan, where an event loop makes it in a thread; sync code has its own."""


class Pause(msgspec.Struct, frozen=True):
    """Wait a little."""

    seconds: float


Step = Read | Run | Make | Pause
Steps = Generator[Step, Any, Outcome]


class Flow(Core):
    """A call's way through the cache."""

    def __init__(self, find_setup: Callable[[], Setup], clock: Clock) -> None:
        super().__init__(find_setup, clock)
        self.flights: FlightTable[Any] = FlightTable()

    # The flow: everything between a call that is not in memory and its outcome.

    def flow(self, plan: Plan, flight: Flight[Outcome]) -> Steps:
        """The steps of one flight; its outcome is what they return."""
        # A flight that landed between the look-up and the join has stored the entry by now.
        best = self.near(plan)
        outcome = self._served(plan, best)
        if outcome is not None:
            return outcome
        if self.uses(plan, self.tiers.far):
            outcome, best = yield from self._look_far(plan, best)
            if outcome is not None:
                return outcome
        flight.fallback = best
        if self.uses(plan, self.tiers.shared[:1]):  # where the lease lies: it ends with the entry's write there
            try:
                outcome = yield from self._claim(plan)
            except BaseException:  # interrupted: a lease that nobody gives back would be extended for ever
                self.submit(self.leases.release, plan.key or b"")
                raise
            if outcome is not None:
                return outcome
        return (yield from self._load(plan, best))

    def _served(self, plan: Plan, judged: Judged | None) -> Outcome | None:
        if judged is None or not self.is_servable(plan, judged):
            return None
        if plan.is_refresh:
            # Somebody else has refreshed it; otherwise what was served is what there is.
            return Outcome(value=None, entry=judged.entry) if judged.verdict is Verdict.FRESH else None
        return self.serve(plan, judged)

    def _look_far(self, plan: Plan, best: Judged | None) -> Generator[Step, Any, tuple[Outcome | None, Judged | None]]:
        key, names = plan.key or b"", plan.policy.tiers
        found = self.waiting(plan)
        if found is None:
            has_looked = plan.has_looked_far and self.uses(plan, self.tiers.shared[:1])
            found = plan.far if has_looked else (yield Read(key))  # with the lease it is read once more
        if found is not None and names is not None and found.tier not in names:
            found = None
        judged = self.judge(plan, found)
        if judged is None or (best is not None and judged.entry.created <= best.entry.created):
            return None, best
        outcome = self._served(plan, judged)
        if outcome is not None:
            self.promote(plan, judged)
            if (judged.verdict is Verdict.STALE or judged.verdict is Verdict.EARLY) and not plan.is_refresh:
                # When this flight has landed: a refresh inside it would be a flight that waits for itself.
                outcome = msgspec.structs.replace(outcome, due=judged)
        return outcome, judged

    def waiting(self, plan: Plan) -> Found | None:
        """The entry that waits to be written, in the name of the first tier that it waits for."""
        entry = self.writer.waiting(plan.key or b"")
        if entry is None:
            return None
        names = plan.policy.tiers
        return Found(entry, next(tier.name for tier in self.tiers.far if names is None or tier.name in names))

    def _claim(self, plan: Plan) -> Generator[Step, Any, Outcome | None]:
        """Take the lease on loading; the outcome, when another process has loaded meanwhile."""
        key = plan.key or b""
        end = time.monotonic() + min(plan.policy.hard_timeout or LEASE_SECONDS * 10, LEASE_SECONDS * 10)
        while True:
            owner = yield Run(lambda: self.leases.claim(key))
            found = yield Read(key)
            judged = self.judge(plan, found)
            outcome = self._served(plan, judged)
            if outcome is not None and judged is not None:
                self.promote(plan, judged)
                yield Run(lambda: self.leases.release(key))
                return outcome
            if owner is not None or time.monotonic() >= end:
                return None
            if plan.is_refresh:
                return Outcome(value=None, entry=None, refusal="another process refreshes it")
            yield Pause(POLL_SECONDS)

    def _load(self, plan: Plan, best: Judged | None) -> Steps:
        start = self.start()
        try:
            outcome, renews = yield from self._made(plan, best, start)
        except Exception as error:
            yield from self._release(plan)
            self.load_failed(plan, error)
            instead = self._instead(plan, best)
            if instead is None:
                raise
            return instead
        except BaseException:  # interrupted: it can no longer wait for anything
            if self.tiers.shared:
                self.submit(self.leases.release, plan.key or b"")
            raise
        if is_failure(outcome):
            instead = self._instead(plan, best)
            if instead is not None:
                yield from self._release(plan)
                self.count(plan, "load_errors", "load_error", outcome.refusal)
                return instead
        outcome = self.settle(plan, outcome, start, revalidated=renews)
        if outcome.refusal is not None:  # else the entry's write ends the lease
            yield from self._release(plan)
        if plan.is_kept_at_once:
            outcome = yield Run(lambda: self.confirm(plan, outcome))
        return outcome

    def _made(self, plan: Plan, best: Judged | None, start: Start) -> Generator[Step, Any, tuple[Outcome, bool]]:
        """The outcome of the call, and whether it renews the entry there was."""
        if best is not None and plan.revalidate is not None and best.entry.validators:
            value = yield Make(plan.revalidate(best.entry.validators), plan if leaves_loop(plan) else None)
            if not is_not_modified(best.entry, value):
                return outcome_of(plan, value, self.load_of(start)), False
            try:
                return renewed_outcome(plan, best.entry, value, self.load_of(start)), True
            except Exception:  # noqa: BLE001 - a 304 about something else, or damaged bytes: the plain call tells
                self.report_once(plan.label, "was not modified, but what is stored does not fit; it is loaded anew")
        value = yield Make(plan.load, plan if leaves_loop(plan) else None)
        return outcome_of(plan, value, self.load_of(start)), False

    def _release(self, plan: Plan) -> Generator[Step, Any, None]:
        """Give the lease back before any caller goes on: its next call would wait for it."""
        if self.uses(plan, self.tiers.shared[:1]):
            yield Run(lambda: self.leases.release(plan.key or b""))

    def _instead(self, plan: Plan, best: Judged | None) -> Outcome | None:
        if best is None or not self.is_servable_after_error(plan, best):
            return None
        if plan.is_refresh:  # nobody was promised its outcome, but whoever has joined it meanwhile is given a copy
            return Outcome(value=None, entry=best.entry, tier=best.tier, is_stale=True)
        return self.serve(plan, best._replace(verdict=Verdict.STALE), "loading failed")

    # What callers of a flight are given.

    def _led(self, plan: Plan, outcome: Outcome) -> Answer:
        if outcome.due is not None:
            self.refresh(plan, outcome.due)
        return Answer(finished(plan, outcome.value), outcome.tier or "load", outcome.refusal)

    def _followed(self, plan: Plan, outcome: Outcome | bytes, latest: float) -> Answer | None:
        """A follower's own copy of the leader's result; None when the result cannot be copied.

        `latest` is the moment of the latest invalidation when the follower joined: raises AbandonedError, so that it
        starts over, when that concerned a load that had begun before it.
        """
        if isinstance(outcome, bytes):  # of a load that was made in one go
            outcome = Outcome(value=None, entry=unpack(outcome))
        if outcome.entry is None:
            return None
        if outcome.tier is None and outcome.entry.created <= latest and self.is_concerned(plan, outcome.entry):
            raise AbandonedError
        try:
            value = value_of(plan, outcome.entry)
        except Exception:  # noqa: BLE001 - whatever a format that cannot be read raises; the follower then loads by itself
            return None
        self.count_coalesced(plan, outcome.entry.cost)
        return Answer(finished(plan, value), "flight", outcome.refusal)

    def count_coalesced(self, plan: Plan, cost: float) -> None:
        """A call that another one's load, for `cost`, has answered."""
        self.statistics.coalesced(self.statistics.of(plan.label), cost, self.clock.monotonic())
        self.emit(plan, "coalesced")
        if self.usage is not None:
            self.usage.other("coalesced", plan, self.clock.now())

    def _too_late(self, plan: Plan, flight: Flight[Outcome]) -> Answer | None:
        """What a caller whose time is over is given: the stale entry, if there is one."""
        fallback: Judged | None = flight.fallback
        if fallback is None or not self.is_servable_in_time(plan, fallback):
            return None
        outcome = self.serve(plan, fallback._replace(verdict=Verdict.STALE), "loading takes too long")
        return None if outcome is None else self._led(plan, outcome)

    def _timed_out(self, plan: Plan) -> LoadTimeoutError:
        end = "it was cancelled" if plan.is_bound else "the load goes on"
        return LoadTimeoutError(
            f"{plan.label} took longer than its hard_timeout of {plan.policy.hard_timeout:g} s; {end}"
        )

    @staticmethod
    def is_of_another(plan: Plan, flight: Flight[Outcome], *, leads: bool) -> bool:
        """Whether how a flight fails says nothing to this caller: it was made on another connection than its own."""
        return not leads and (flight.is_bound or plan.is_bound)

    def refresh(self, plan: Plan, judged: Judged) -> None:
        """Load anew what was just served, for the next callers; nothing when that is under way already."""
        raise NotImplementedError

    def may_look_far(self, plan: Plan) -> bool:
        """Whether the far tiers are worth a look of this call's own, before it joins a flight."""
        if not self.tiers.far or not self.uses(plan, self.tiers.far):
            return False
        if has_timeout(plan.policy) or plan.reloads:  # its flight keeps them
            return False
        if plan.is_warming and plan.has_looked_far:
            return False
        return self.writer.waiting(plan.key or b"") is None

    def _from_far(self, plan: Plan, found: Found | None) -> Answer | None:
        """The answer, where the far tiers have a fresh one; else its flight goes on from what they have."""
        names = plan.policy.tiers
        if found is not None and names is not None and found.tier not in names:
            found = None
        judged = self.judge(plan, found)
        plan.far, plan.has_looked_far = found, judged is None or not self.is_servable(plan, judged)
        answer = self.fresh(plan, judged)
        if answer is not None and judged is not None:
            self.promote(plan, judged)
        return answer

    @staticmethod
    def newer(one: Judged | None, other: Judged | None) -> Judged | None:
        """Of two entries the one whose load began later."""
        if one is None or other is None:
            return one or other
        return other if other.entry.created > one.entry.created else one

    def fresh(self, plan: Plan, judged: Judged | None) -> Answer | None:
        """The answer that a fresh entry is; None for any other."""
        if judged is None or judged.verdict is not Verdict.FRESH:
            return None
        outcome = self.serve(plan, judged)
        return None if outcome is None else self._led(plan, outcome)

    def _from_near(self, plan: Plan) -> Answer | None:
        judged = self.near(plan)
        if judged is None or not self.is_servable(plan, judged):
            return None
        outcome = self.serve(plan, judged)
        if outcome is None:
            return None
        if judged.verdict is not Verdict.FRESH:
            self.refresh(plan, judged)
        return self._led(plan, outcome)

    # Invalidation.

    def invalidate(self, places: Sequence[tuple[Scope, str]], *, hard: bool) -> None:
        """Mark places, here and for the other processes. Blocks."""
        self.tiers.follow()  # a moment must be later than every one that another process has gone by
        self.publish(self.marked(places, hard=hard))

    def _announce(self, markers: Sequence[Marker]) -> None:
        """Soft markers that are known here, for the other processes. Blocks."""
        if markers and self.tiers.shared:
            self.invalidate([(marker.scope, marker.value) for marker in markers], hard=False)

    def publish(self, markers: Sequence[Marker]) -> None:
        """Tell the other processes; what cannot be told now is told when the tier is back. Blocks."""
        if not markers or not self.tiers.shared:
            return
        self.writer.publish(markers)
        self.writer.flush(self.setup.timeout * 2)


def waits(policy: Policy) -> Sequence[float | None]:
    """How long to wait for a flight at first, and after that; None: to its end."""
    soft, hard = policy.soft_timeout, policy.hard_timeout
    if soft is None or (hard is not None and hard <= soft):
        return (hard,)
    return (soft, None if hard is None else hard - soft)


def has_timeout(policy: Policy) -> bool:
    """Whether a caller may stop waiting for a load that goes on."""
    return policy.soft_timeout is not None or policy.hard_timeout is not None


def leaves_loop(plan: Plan) -> bool:
    """Whether an event loop makes the call in a thread: its callers could not stop waiting for it in the loop's own."""
    return plan.in_thread or (plan.is_blocking and has_timeout(plan.policy))
