"""One process's part of a run: it takes its turns and gives a block for each."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from apicache_scenarios.load.executors import Part
from apicache_scenarios.load.parts import Parts
from apicache_scenarios.load.plan import RunPlan, Turn
from apicache_scenarios.load.recorder import Recorder
from apicache_scenarios.load.result import Block, packed
from apicache_scenarios.load.workload import Share, Workload

GRACE_SECONDS: Final = 60.0
"""How long a block waits for its last answers after its time."""
_NANOSECONDS: Final = 1e9


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when all turns are over."""

    caches: dict[str, dict[str, Any]]
    """By arm."""
    costs: dict[str, float]


class Session:
    """Runs turns of a plan against an open workload. `origin` is the run's start, on the clock `now` (nanoseconds)."""

    def __init__(
        self,
        plan: RunPlan,
        workload: Workload,
        share: Share | None = None,
        *,
        origin: int | None = None,
        now: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._plan = plan
        self._workload = workload
        self._now = now
        self._origin = now() if origin is None else origin
        self._parts = Parts(plan, workload.groups, share or Share())
        self.recorder: Recorder | None = None
        """Of the block that runs, or has just run."""
        self._running: tuple[Turn, Part, int] | None = None

    async def warm_up(self) -> None:
        """Open what is opened once."""
        await self._workload.warm_up()

    async def run(self, turn: Turn) -> Block:
        """Take a turn; when it is cancelled, `partial` has what was measured by then."""
        part = self._parts.part(turn)
        measured = self._plan.legs[turn.leg].measured
        self.recorder = recorder = Recorder(
            self._workload.arms[turn.arm],
            is_open=self._parts.is_open(turn),
            keeps_trace=measured and turn.arm == self._plan.traced,
            now=self._now,
        )
        self._running = (turn, part, self._now())
        try:
            async with asyncio.timeout(_time_limit(part)):
                await self._parts.executors[turn.leg].run(part, recorder)
        except TimeoutError:
            recorder.give_up()
        return self.partial()

    def partial(self) -> Block:
        """The block that runs, or has just run, as far as it has come; raises LookupError before the first."""
        if self.recorder is None or self._running is None:
            raise LookupError("no turn was begun")
        recorder, (turn, part, begun) = self.recorder, self._running
        leg = self._plan.legs[turn.leg]
        lag = recorder.lag()
        return Block(
            number=turn.number,
            round=turn.round + sum(each.rounds for each in self._plan.legs[: turn.leg] if each.measured),
            arm=turn.arm,
            pass_=leg.pass_,
            stage=leg.index,
            started=(begun - self._origin) / _NANOSECONDS,
            seconds=(self._now() - begun) / _NANOSECONDS,
            planned=None if part.seconds is not None else len(part.keys),  # type: ignore[arg-type] # then a list
            series=recorder.series(),
            errors=recorder.errors,
            dropped=recorder.dropped,
            withheld=recorder.withheld,
            lag=None if lag is None else lag.encoded(),
            upstream_calls=recorder.calls,
            keys=packed(recorder.keys) if recorder.keys else None,
            sent=packed((at - self._origin) // 1000 for at in recorder.sent) if recorder.keys else None,
        )

    def ends(self) -> Ends:
        """The caches' states, and what calls cost."""
        caches = {name: dict(arm.cache_state()) for name, arm in self._workload.arms.items()}
        return Ends(caches=caches, costs=dict(self._workload.costs()))

    async def aclose(self) -> None:
        """Close the arms."""
        with contextlib.suppress(Exception):  # what is closed is measured already
            await self._workload.aclose()


def _time_limit(part: Part) -> float | None:
    """Seconds after which a block's last answers are waited for no longer."""
    if part.seconds is not None:
        return part.seconds + GRACE_SECONDS
    return part.due[-1] / _NANOSECONDS + GRACE_SECONDS if part.due else None
