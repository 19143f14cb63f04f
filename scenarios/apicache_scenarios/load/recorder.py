"""What one block measures: every request that an arm makes, timed and counted."""

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from apicache_scenarios.load.recording import Histogram, Latencies
from apicache_scenarios.load.result import Outcome, Series

if TYPE_CHECKING:
    from apicache_scenarios.load.arms import Arm

UNFINISHED: Final = "Unfinished"
"""The class of requests that had no answer when the run stopped waiting."""


class Recorder:
    """Issues an arm's requests and records each: when it was due, sent and answered, in nanoseconds."""

    def __init__(
        self,
        arm: "Arm",
        *,
        is_open: bool = False,
        keeps_trace: bool = False,
        now: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.now = now
        self.dropped = 0
        self.withheld = 0
        """Requests that were not made because the arm may call no more."""
        self.keys, self.sent = array("q"), array("q")
        """What was asked for and when, where the trace is kept."""
        self._arm = arm
        self._operations: Sequence[str] = arm.operations
        self._is_open = is_open
        self._keeps_trace = keeps_trace
        self._calls_before = arm.calls
        self._answered: dict[tuple[str, Outcome], tuple[Latencies, Latencies]] = {}
        self._lag = Latencies()
        self._errors: dict[str, Counter[str]] = {}
        self._under_way = 0

    async def issue(self, key: int) -> None:
        """A request of a closed loop: its latency counts from its send."""
        await self._issue(key, None)

    async def issue_due(self, key: int, due: int) -> None:
        """A request of an open loop: its latency counts from when it was due."""
        self._lag.record(max(0, self.now() - due))
        await self._issue(key, due)

    def drop(self) -> None:
        """Count a request that was due and could not be sent."""
        self.dropped += 1

    async def _issue(self, key: int, due: int | None) -> None:
        arm = self._arm
        if arm.is_spent:
            self.withheld += 1
            return
        if self._keeps_trace:
            self.keys.append(key)
            self.sent.append(self.now())
        self._under_way += 1
        try:
            sent, answered, outcome = await arm.call(key)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - every way in which a call can fail is a result here
            self._failed(key, error)
        else:
            service = answered - sent
            latencies = self._answered.get((self._operations[key], outcome)) or self._series(key, outcome)
            latencies[0].record(service if due is None else answered - due)
            if due is not None:
                latencies[1].record(service)
        self._under_way -= 1

    def _failed(self, key: int, error: Exception) -> None:
        if self._arm.was_refused(error):
            self.withheld += 1
            return
        self._errors.setdefault(self._operations[key], Counter())[self._arm.error_class(error)] += 1

    def _series(self, key: int, outcome: Outcome) -> tuple[Latencies, Latencies]:
        return self._answered.setdefault((self._operations[key], outcome), (Latencies(), Latencies()))

    def give_up(self) -> None:
        """Count what is under way as failed: the run waits no longer."""
        if self._under_way:
            self._errors.setdefault("", Counter())[UNFINISHED] += self._under_way

    @property
    def calls(self) -> int:
        """Calls to the upstream so far."""
        return self._arm.calls - self._calls_before

    @property
    def errors(self) -> dict[str, dict[str, int]]:
        """Failed requests by operation and class."""
        return {operation: dict(counted.most_common()) for operation, counted in self._errors.items()}

    @property
    def failed(self) -> int:
        """Requests that ended without an answer."""
        return sum(counted.total() for counted in self._errors.values())

    @property
    def requests(self) -> int:
        """Requests that have ended."""
        return sum(len(latency) for latency, _ in self._answered.values()) + self.failed

    @property
    def hits(self) -> int:
        """Requests that the cache answered."""
        return sum(len(latency) for (_, outcome), (latency, _) in self._answered.items() if outcome == "hit")

    def series(self) -> tuple[Series, ...]:
        """The answered requests, by operation and outcome."""
        return tuple(
            Series(
                operation=operation,
                outcome=outcome,
                latency=latency.histogram().encoded(),
                service_time=service.histogram().encoded() if self._is_open else None,
            )
            for (operation, outcome), (latency, service) in self._answered.items()
        )

    def lag(self) -> Histogram | None:
        """How late requests were sent; None in a closed loop."""
        return self._lag.histogram() if self._is_open else None
