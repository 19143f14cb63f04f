"""How far a run is, for who watches it."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from apicache_scenarios.load.figures import Total
from apicache_scenarios.load.parts import thinned_to
from apicache_scenarios.load.plan import RunPlan, Turn
from apicache_scenarios.load.recorder import Recorder
from apicache_scenarios.load.result import Block


class ArmSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An arm so far, warm-up included; percentiles are of its latest block."""

    requests: int = 0
    hits: int = 0
    errors: int = 0
    dropped: int = 0
    seconds: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run so far: `done` of `total` requests or seconds."""

    unit: Literal["requests", "seconds"]
    done: int
    total: int
    arm: str
    stage: int
    phase: str
    """warm-up, cold or warm."""
    arms: dict[str, ArmSnapshot]


class Progress:
    """Tells `on_progress` of a run's blocks as they go by."""

    def __init__(self, plan: RunPlan, on_progress: Callable[[Snapshot], None]) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._by_requests = all(leg.requests is not None for leg in plan.legs)
        self._total = round(sum(self._lengths()))
        self._done = 0.0
        self._arms = {arm.name: ArmSnapshot() for arm in plan.arms}
        self._turn: Turn | None = None
        self._begun = 0.0

    def _lengths(self) -> Iterator[float]:
        """What each arm does in each leg, in requests or seconds."""
        made = {arm.name: thinned_to(self._plan, arm) for arm in self._plan.arms}
        for leg in self._plan.legs:
            for arm in leg.arms:
                yield int((leg.requests or 0) * made[arm]) if self._by_requests else leg.stage.duration

    def begins(self, turn: Turn) -> None:
        """A turn begins."""
        self._turn, self._begun = turn, time.monotonic()

    def looks(self, recorders: Sequence[Recorder | None]) -> None:
        """A turn goes on."""
        if self._turn is None:
            return
        seen = [recorder for recorder in recorders if recorder is not None]
        elapsed = time.monotonic() - self._begun
        done = sum(each.requests for each in seen) if self._by_requests else min(elapsed, self._length())
        name = self._turn.arm
        before = self._arms[name]
        arm = ArmSnapshot(
            requests=before.requests + sum(each.requests for each in seen),
            hits=before.hits + sum(each.hits for each in seen),
            errors=before.errors + sum(each.failed for each in seen),
            dropped=before.dropped + sum(each.dropped for each in seen),
            seconds=before.seconds + elapsed,
            p50_ms=before.p50_ms,
            p99_ms=before.p99_ms,
        )
        self._tell(self._done + done, {**self._arms, name: arm})

    def ends(self, block: Block) -> None:
        """A turn has ended."""
        total, before = Total([block]), self._arms[block.arm]
        latency = total.latency()
        self._arms[block.arm] = ArmSnapshot(
            requests=before.requests + total.requests,
            hits=before.hits + total.count("hit"),
            errors=before.errors + total.errors.total(),
            dropped=before.dropped + block.dropped,
            seconds=before.seconds + block.seconds,
            p50_ms=latency.percentile_ms(50),
            p99_ms=latency.percentile_ms(99),
        )
        self._done += total.requests if self._by_requests else self._length()
        self._tell(self._done, self._arms)

    def _length(self) -> float:
        if self._turn is None:
            return 0.0
        leg = self._plan.legs[self._turn.leg]
        return leg.stage.duration / leg.rounds

    def _tell(self, done: float, arms: dict[str, ArmSnapshot]) -> None:
        if self._turn is None:
            return
        leg = self._plan.legs[self._turn.leg]
        self._on_progress(
            Snapshot(
                unit="requests" if self._by_requests else "seconds",
                done=round(done),
                total=self._total,
                arm=self._turn.arm,
                stage=leg.index,
                phase=leg.pass_ if leg.measured else "warm-up",
                arms=arms,
            )
        )
