"""Misses that are answered in one go: where memory is the only tier, and nothing about the call is special.

The decisions are those of the engine's flow; what only other calls need is not built. A load that has to wait goes on
as every other one does.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from apicache.core import Start
from apicache.entry import PLAIN_CODEC
from apicache.flights import AbandonedError, Flight, inside
from apicache.packed import INLINE, number_of, pack_value
from apicache.planning import Plan
from apicache.records import RecordTypes
from apicache.storing import Outcome, finished, outcome_of
from apicache.workers import Begun, Worker

if TYPE_CHECKING:
    from apicache.bound import BoundOperation

_current_task: Final = asyncio.current_task
_PLAIN: Final = frozenset({NoneType, bool, int, float, str, bytes, dict, list})
"""Types of results that are no client library's response."""
_encode: Final = RecordTypes.EMPTY.encode


def fits(bound: "BoundOperation") -> bool:
    """Whether an operation's loads can be made so: no word of its policy has to be looked at for each result."""
    engine, operation, policy = bound.engine, bound.operation, bound.policy
    return (
        inspect.iscoroutinefunction(operation.function)
        and not engine.tiers.far
        and len(engine.tiers.near) == 1
        and hasattr(engine.tiers.near[0], "put")
        and engine.usage is None
        and not (callable(policy.ttl) or callable(policy.cost))
        and policy.ttl > 0
        and not (policy.tags or policy.jitter or policy.negative_ttl)
        and policy.soft_timeout is policy.hard_timeout is None
        and number_of(operation.name, PLAIN_CODEC, policy.cost) != INLINE
    )


class NearLoads:
    """The loads of one operation under one policy."""

    __slots__ = (
        "_begin", "_bound", "_breaker", "_cost", "_counts", "_engine", "_flights", "_function", "_hooks", "_keep",
        "_markers", "_miss", "_monotonic", "_now", "_number", "_peek", "_put", "_spare", "_ttl",
    )  # fmt: skip

    def __init__(self, bound: "BoundOperation") -> None:
        engine, operation, policy = bound.engine, bound.operation, bound.policy
        tier: Any = engine.tiers.near[0]
        self._bound, self._engine = bound, engine
        self._flights, self._hooks, self._begin = engine.flights, engine.hooks.registrations, engine.moment
        self._now, self._monotonic = engine.clock.now, engine.clock.monotonic
        self._markers, self._breaker = engine.tiers.markers, engine.tiers.breakers[tier.name]
        self._peek, self._put = tier.peek, tier.put
        self._miss, self._counts = engine.statistics.miss, engine.statistics.of(operation.name)
        self._function: Callable[..., Any] = operation.function
        self._ttl: float = policy.ttl  # type: ignore[assignment] # `fits`
        self._cost: float = policy.cost  # type: ignore[assignment] # `fits`
        self._keep = policy.retention
        self._number = number_of(operation.name, PLAIN_CODEC, self._cost)
        self._spare: Worker | None = None
        """The worker of the last load, if that did not have to wait."""

    def load(self, given: Mapping[str, Any], full: Mapping[str, Any], key: bytes, material: bytes) -> Any:
        """The result of a call that memory does not have, all of whose parameters are immutable.

        Or its plan, when it has to wait, or something special applies. Raises what the call raises.
        """
        try:
            current = None if self._hooks else _current_task()
        except RuntimeError:  # in another kind of event loop
            current = None
        if current is None:
            return self._bound.planned(given, full, key, material)
        loop = current.get_loop()
        flight = self._flights.lead(key, loop)
        if flight is None:
            return self._bound.planned(given, full, key, material)
        try:
            if self._peek(key) is not None:  # stored between the look-up and here
                self._flights.land_with(flight, AbandonedError())
                return self._bound.planned(given, full, key, material)
            created, at = self._begin(), self._monotonic()
            coroutine = self._function(**given)
            context, worker = inside(flight), self._worker(loop)
            try:
                waiting_for = worker.begin(coroutine, context, current)
            except StopIteration as ended:
                value = ended.value
            else:
                plan = self._bound.planned(given, full, key, material)
                plan.flight, plan.is_missing = flight, True
                rest = self._engine.rest(plan, Begun(coroutine, waiting_for), Start(created, at))
                self._flights.go_on(flight, rest, worker, context)
                return plan
            self._spare = worker
            packed = self._store(key, value, created, at)
            if packed is not None:
                self._flights.land_at_once(flight, packed)
                return value
            plan = self._bound.planned(given, full, key, material)
            return self._settled(plan, flight, value, Start(created, at))
        except BaseException as error:
            if not flight.done:
                self._failed(self._bound.planned(given, full, key, material), flight, error)
            raise

    def _worker(self, loop: asyncio.AbstractEventLoop) -> Worker:
        """The spare one, if it is of the running loop, and no cancellation waits in it."""
        worker, self._spare = self._spare, None
        return worker if worker is not None and worker.loop is loop and not worker.task.cancelling() else Worker(loop)

    def _store(self, key: bytes, value: Any, created: float, at: float) -> bytes | None:
        """The stored form of the result of a load that has ended now, counted; None when the engine has to store it."""
        if type(value) not in _PLAIN or created <= self._markers.latest or not self._breaker.is_closed():
            return None
        now = self._now()
        fresh_until = now + self._ttl
        ends = self._monotonic()
        try:
            packed = pack_value(_encode(value), created, fresh_until, fresh_until + self._keep, ends - at, self._number)
            self._put(key, packed, now)
        except Exception:  # noqa: BLE001 - the engine finds out what it was
            return None
        self._miss(self._counts, ends, self._cost, 1)
        return packed

    def _settled(self, plan: Plan, flight: "Flight[Outcome]", value: Any, start: Start) -> Any:
        """The result, stored by the engine and told to whoever waits for it."""
        engine = self._engine
        outcome = engine.settle(plan, outcome_of(plan, value, engine.load_of(start)), start)
        self._flights.land(flight, outcome)
        return finished(plan, outcome.value)

    def _failed(self, plan: Plan, flight: "Flight[Outcome]", error: BaseException) -> None:
        if isinstance(error, Exception):
            self._engine.load_failed(plan, error)
        self._flights.land_with(flight, error if isinstance(error, Exception) else AbandonedError())
