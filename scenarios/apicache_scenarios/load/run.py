"""A run: all members take each turn together, and what they measured is one result."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from apicache_scenarios.load.assembling import Ran, assembled
from apicache_scenarios.load.environment import captured
from apicache_scenarios.load.figures import Total
from apicache_scenarios.load.members import AnySource, Here, Member, Task, Worker, merged_ends
from apicache_scenarios.load.merging import merged_block
from apicache_scenarios.load.plan import Leg, RunPlan, Turn, turns
from apicache_scenarios.load.result import BenchResult, Block, Pass
from apicache_scenarios.load.session import Ends, Session
from apicache_scenarios.load.snapshots import Progress, Snapshot
from apicache_scenarios.load.thresholds import Counts, evaluated, live
from apicache_scenarios.load.workload import Share

LOOK_SECONDS: Final = 0.5
"""How often a running block is looked at, for the live view and for thresholds that abort."""

OnProgress = Callable[[Snapshot], None]
Served = Callable[[], Mapping[str, int]]
"""Calls that reached the upstream so far, by arm."""


class Run:
    """One run of a plan. `served` is the upstream's own count, where it can be asked."""

    def __init__(self, plan: RunPlan, on_progress: OnProgress, served: Served | None = None) -> None:
        self._plan = plan
        self._progress = Progress(plan, on_progress)
        self._served = served
        self._counted: dict[tuple[str, Pass], int] = {}
        self._before: Mapping[str, int] = {}
        self._blocks: list[Block] = []
        self._counts: list[Counts] = []
        self._members: Sequence[Member] = ()
        self._leg: int | None = None
        self._measured_from: float | None = None
        self._aborted_by: tuple[str, ...] = ()
        self._ends = Ends(caches={}, costs={})
        self.environment: dict[str, object] = {}

    def result(self, *, interrupted: bool = False) -> BenchResult:
        """What was measured so far."""
        return assembled(
            Ran(
                plan=self._plan,
                blocks=tuple(self._blocks),
                ends=self._ends,
                environment=self.environment,
                counted=None if self._served is None else self._counted,
                interrupted=interrupted,
                aborted_by=self._aborted_by,
            )
        )

    async def all_turns(self, members: Sequence[Member]) -> None:
        """Take every turn, or those until it is cancelled or a threshold aborts it; then `result` has it all."""
        self._members = members
        await asyncio.gather(*(member.warm_up() for member in members))
        try:
            for turn in turns(self._plan):
                if turn.leg != self._leg:
                    self._leg_ends()
                    self._leg = turn.leg
                await self._take(turn)
                if self._aborted_by:
                    break
        except asyncio.CancelledError:
            await self._finish()
            raise
        await self._finish()

    async def _finish(self) -> None:
        self._leg_ends()
        self._ends = merged_ends(await asyncio.gather(*(member.end() for member in self._members)))

    async def _take(self, turn: Turn) -> None:
        leg = self._plan.legs[turn.leg]
        if leg.measured and self._measured_from is None:
            self._measured_from = time.monotonic()
        self._progress.begins(turn)
        running = asyncio.gather(*(member.run(turn) for member in self._members))
        try:
            while not (await asyncio.wait({running}, timeout=LOOK_SECONDS))[0]:
                self._progress.looks([member.live() for member in self._members])
                if leg.measured and self._aborts(turn):
                    await self._stop(running, leg)
                    return
            self._keep(running.result(), leg)
        except asyncio.CancelledError:
            await self._stop(running, leg)
            raise
        self._aborts(None)

    async def _stop(self, running: "asyncio.Future[list[Block]]", leg: Leg) -> None:
        """End the turn, and keep what it has measured."""
        running.cancel()
        await asyncio.wait({running})
        with contextlib.suppress(asyncio.CancelledError):
            running.exception()  # taken, or asyncio reports it; a worker that died is told of by `stop`
        self._keep([block for member in self._members if (block := await member.stop()) is not None], leg)

    def _keep(self, parts: Sequence[Block], leg: Leg) -> None:
        if not parts:
            return
        block = merged_block(parts)
        self._progress.ends(block)
        if leg.measured:
            self._blocks.append(block)
            total = Total([block])
            self._counts.append(Counts(block.arm, total.requests, total.count("hit"), total.errors.total()))

    def _leg_ends(self) -> None:
        """Read the upstream's count between legs: a pass's calls are those of its legs."""
        if self._served is None:
            return
        served = self._served()
        leg = None if self._leg is None else self._plan.legs[self._leg]
        if leg is not None and leg.measured:
            for arm in leg.arms:
                calls = served.get(arm, 0) - self._before.get(arm, 0)
                self._counted[arm, leg.pass_] = self._counted.get((arm, leg.pass_), 0) + calls
        self._before = served

    def _aborts(self, turn: Turn | None) -> bool:
        """Whether a threshold that may abort does not hold.

        While a block runs (`turn`) only counts are looked at: folding its latencies would delay its requests.
        """
        may = [each for each in self._plan.thresholds if each.abort and self._elapsed() >= each.after]
        if not may or self._aborted_by:
            return bool(self._aborted_by)
        if turn is None:
            results = evaluated(may, self._plan.arms, self._blocks)
        else:
            results = live(may, self._plan.arms, [*self._counts, *self._running(turn)])
        self._aborted_by = tuple(each.written for each in results if not each.holds and each.measured is not None)
        return bool(self._aborted_by)

    def _running(self, turn: Turn) -> list[Counts]:
        recorders = [recorder for member in self._members if (recorder := member.live()) is not None]
        return [Counts(turn.arm, each.requests, each.hits, each.failed) for each in recorders]

    def _elapsed(self) -> float:
        return 0.0 if self._measured_from is None else time.monotonic() - self._measured_from


def run(
    plan: RunPlan,
    source: AnySource,
    *,
    processes: int = 1,
    on_progress: OnProgress = lambda _: None,
    served: Served | None = None,
    described: Mapping[str, object] | None = None,
) -> BenchResult:
    """Run a plan in this process, or in several; an interrupt (SIGINT) ends it, and what was measured is the result.

    `described` is added to the environment. Blocks until done; not for use inside a running event loop. Raises
    InputError for what the source refuses.
    """
    one = Run(plan, on_progress, served)
    one.environment = {**captured(plan, processes), **(described or {})}
    interrupted = False
    try:
        asyncio.run(_in_processes(one, plan, source, processes) if processes > 1 else _here(one, plan, source))
    except KeyboardInterrupt:
        interrupted = True
    return one.result(interrupted=interrupted)


async def _here(one: Run, plan: RunPlan, source: AnySource) -> None:
    workload = source.open(plan.arms, Share())
    try:
        member = Here(Session(plan, workload))
        try:
            await one.all_turns([member])
        finally:
            await member.aclose()
    finally:
        workload.close()


async def _in_processes(one: Run, plan: RunPlan, source: AnySource, processes: int) -> None:
    bare = msgspec.structs.replace(plan, thresholds=())
    origin = time.perf_counter_ns()  # the same in all processes: the system's monotonic clock
    async with AsyncExitStack() as stack:
        members = []
        for process in range(processes):
            share = Share(process, processes)
            worker = await Worker.started(Task(plan=bare, source=source, share=share, origin=origin))
            stack.push_async_callback(worker.aclose)
            members.append(worker)
        await one.all_turns(members)
