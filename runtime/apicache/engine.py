"""The engine: one flow decides, two thin edges wait for it; and what concerns a cache as a whole."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from apicache.async_edge import AsyncEdge
from apicache.core import Judged, Route
from apicache.entry import Verdict
from apicache.flow import Answer
from apicache.planning import Plan
from apicache.sync_edge import SyncEdge

if TYPE_CHECKING:
    from apicache.stack import Found

_FLUSH_POLL_SECONDS: Final = 0.002
_CLOSE_SECONDS: Final = 5.0


class Engine(AsyncEdge, SyncEdge):
    """One cache: what it decides, and the two ways to wait for it."""

    def refresh(self, plan: Plan, judged: Judged) -> None:
        """Load anew what was just served, for the next callers; nothing when that is under way already."""
        if judged.verdict is Verdict.EARLY:
            self.count(plan, "early_refreshes", "early_refresh")
        loop = asyncio._get_running_loop() if plan.is_async else None  # noqa: SLF001 - documented; None without one
        flight, leads = self._flights.join(plan.key or b"", loop)
        if flight is None:
            return
        flight.kept = True
        self._flights.leave(flight)
        if not leads:
            return
        plan.is_refresh, plan.has_looked_far = True, False
        if loop is not None:
            self._flights.launch_later(flight, self._fly(self.flow(plan, flight)))
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
        """Wait for refreshes under way and for what waits to be written, at most so long; whether it all ended."""
        end = time.monotonic() + seconds
        while len(self._flights) and time.monotonic() < end:
            time.sleep(_FLUSH_POLL_SECONDS)
        written = self.writer.flush(max(0.0, end - time.monotonic()))
        if self.usage is not None:
            self.usage.flush()
        return written and not len(self._flights)

    def close(self) -> None:
        """Write what waits, and release what the tiers hold open; the next call opens it again."""
        self.writer.flush(_CLOSE_SECONDS)
        if self.usage is not None:
            self.usage.flush()
        self.tiers.close()

    async def answer_many(self, plans: Sequence[Plan], concurrency: int) -> list[Answer | BaseException]:
        """Answers in the plans' order, an exception in the place of each call that failed."""
        answers: dict[int, Answer | BaseException] = {}
        missing: list[int] = []
        routes = [self.route(plan) for plan in plans]
        for position, plan in enumerate(plans):
            try:
                near = self._from_near(plan) if routes[position] is Route.CACHE else None
            except Exception as error:  # noqa: BLE001 - its place is the caller's to raise
                answers[position] = error
                continue
            if near is None:
                missing.append(position)
            else:
                answers[position] = near
        looked_up = [position for position in missing if routes[position] is Route.CACHE]
        if self.tiers.far and looked_up:
            await self._answer_far(plans, looked_up, answers)
            missing = [position for position in missing if position not in answers]
        gate = asyncio.Semaphore(concurrency)

        async def load(position: int) -> None:
            async with gate:
                try:
                    answers[position] = await self._answer_on(routes[position], plans[position])
                except Exception as error:  # noqa: BLE001 - its place is the caller's to raise
                    answers[position] = error

        async with asyncio.TaskGroup() as loads:
            for position in missing:
                loads.create_task(load(position))
        return [answers[position] for position in range(len(plans))]

    async def _answer_far(
        self, plans: Sequence[Plan], missing: Sequence[int], answers: dict[int, Answer | BaseException]
    ) -> None:
        """Read all that is not near at once, and answer what is fresh."""
        keys = {plan.key for position in missing if (plan := plans[position]).key is not None}
        reading: Mapping[bytes, Found] | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if self.tiers.self_bounded else self.setup.timeout):
                reading = await self.off_loop(self.read_far, tuple(keys))
        for position in missing:
            plan = plans[position]
            found = (reading or {}).get(plan.key or b"")
            if found is None or not self.uses(plan, [tier for tier in self.tiers.far if tier.name == found.tier]):
                continue
            judged = self.judge(plan, found)
            if judged is None or judged.verdict is not Verdict.FRESH:
                continue
            served = self.serve(plan, judged)
            if served is not None:
                self.promote(plan, judged)
                answers[position] = self._led(plan, served)
