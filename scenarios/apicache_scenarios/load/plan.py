"""What a run does, in which order: arms, legs, and the turns that they are cut into."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from apicache_scenarios.format.model import Keys, Stage, Threshold
from apicache_scenarios.load.result import Pass

ROUNDS: Final = 10
"""Each leg is cut into so many rounds, in each of which every arm has one block."""
MAX_LAG_P99_MS: Final = 10.0
MAX_DROPPED_SHARE: Final = 0.01


class ArmPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One arm; `plan_arm` is the file's arm that it is, of which several are when tiers are compared.

    `tiers` name those of a cache of its own; None: the workload's own cache.
    """

    name: str
    plan_arm: str
    uses_cache: bool
    max_calls: int | None = None
    tiers: tuple[str, ...] | None = None


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch under one load shape: for the stage's duration, or for so many requests of each arm."""

    stage: Stage
    index: int = 0
    """Of the plan's stages."""
    requests: int | None = None
    pass_: Pass = "warm"  # noqa: S105 - no secret
    arms: tuple[str, ...] = ()
    rounds: int = ROUNDS
    measured: bool = True
    """False for a warm-up."""
    replays: bool = False
    """True to ask for the same keys again, from the first."""
    start_rate: float = 0.0


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    seed: int
    keys: Keys
    population: int
    """Cases that keys are drawn from."""
    arms: tuple[ArmPlan, ...]
    legs: tuple[Leg, ...]
    thresholds: tuple[Threshold, ...] = ()
    max_lag_p99_ms: float = MAX_LAG_P99_MS
    max_dropped_share: float = MAX_DROPPED_SHARE

    @property
    def traced(self) -> str | None:
        """The arm whose requests are kept one by one: the first with a cache."""
        return next((arm.name for arm in self.arms if arm.uses_cache), None)


class Turn(NamedTuple):
    """One block to come."""

    number: int
    leg: int
    round: int
    arm: str


def turns(plan: RunPlan) -> Iterator[Turn]:
    """Blocks in the order they run: the arms, then the arms from last to first, and again (ABBA).

    Either of two arms goes first equally often, so a machine that slows down over the run slows both alike.
    """
    number = 0
    for index, leg in enumerate(plan.legs):
        for turn in range(leg.rounds):
            for arm in leg.arms if turn % 2 == 0 else leg.arms[::-1]:
                yield Turn(number, index, turn, arm)
                number += 1
