"""What each turn is to send: keys and intended sends, computed ahead, the same in every process."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from apicache_scenarios.load.drawing import SharedKeys, mixed, thinned
from apicache_scenarios.load.executors import Executor, Part, Shape, executor
from apicache_scenarios.load.plan import ArmPlan, Leg, RunPlan, Turn
from apicache_scenarios.load.workload import Share

_NANOSECONDS: Final = 1e9


class Parts:
    """The parts of a plan's turns that are one process's; asked for in the turns' order."""

    def __init__(self, plan: RunPlan, groups: Sequence[tuple[float, Sequence[int]]], share: Share) -> None:
        self._plan = plan
        self._share = share
        self.executors: list[Executor] = [_executor(leg, share) for leg in plan.legs]
        self._arrivals = [each.arrivals() for each in self.executors]
        self._keys = SharedKeys(lambda: mixed(plan.keys, plan.population, plan.seed, groups))
        self._thinning = {arm.name: thinning(plan, arm, self._due) for arm in plan.arms}
        self._begun = {arm.name: 0 for arm in plan.arms}
        """Requests that were due in earlier turns of an arm, thinned or not."""
        self._leg: int | None = None

    def is_open(self, turn: Turn) -> bool:
        """Whether requests are sent when they are due."""
        return self._arrivals[turn.leg] is not None

    def part(self, turn: Turn) -> Part:
        """What to send in a turn."""
        leg = self._plan.legs[turn.leg]
        if turn.leg != self._leg:
            self._leg = turn.leg
            if leg.replays:
                self._keys.rewind()
        due = self._window(turn, leg)
        number = _in_round(leg.requests, turn.round, leg.rounds) if due is None else len(due)
        if number is None:
            return self._by_time(turn, leg)
        keys = list(islice(self._keys.of_round((turn.leg, turn.round)), number))
        picked = thinned(self._begun[turn.arm], number, self._thinning[turn.arm])
        self._begun[turn.arm] += number
        mine = picked[self._share.process :: self._share.processes]
        return Part(keys=[keys[place] for place in mine], due=() if due is None else [due[place] for place in mine])

    def _by_time(self, turn: Turn, leg: Leg) -> Part:
        process, processes = self._share.process, self._share.processes
        limit = self._calls_a_block(turn.arm)
        end = None if limit is None else process + self._share.of(limit) * processes
        keys = islice(self._keys.of_round((turn.leg, turn.round)), process, end, processes)
        return Part(keys=keys, seconds=leg.stage.duration / leg.rounds)

    def _window(self, turn: Turn, leg: Leg) -> list[int] | None:
        """Intended sends of a turn from its own start; None in a closed loop."""
        arrivals = self._arrivals[turn.leg]
        if arrivals is None:
            return None
        width = leg.stage.duration * _NANOSECONDS / leg.rounds
        begin, end = int(width * turn.round), int(width * (turn.round + 1))
        first, last = (int(place) for place in arrivals.searchsorted([begin, end]))
        due: list[int] = (arrivals[first:last] - begin).tolist()
        return due

    def _due(self, index: int) -> int | None:
        """Requests of a leg, all processes together; None where time ends it."""
        arrivals = self._arrivals[index]
        return self._plan.legs[index].requests if arrivals is None else len(arrivals)

    def _calls_a_block(self, arm_name: str) -> int | None:
        arm = next(each for each in self._plan.arms if each.name == arm_name)
        if arm.max_calls is None or arm.uses_cache:
            return None
        return max(1, arm.max_calls // sum(leg.rounds for leg in self._plan.legs if arm_name in leg.arms))


def thinning(plan: RunPlan, arm: ArmPlan, due: Callable[[int], int | None]) -> float:
    """The share of an arm's due requests that its max_calls leaves, where each request is a call; `due` of a leg.

    Legs that time ends have a bound for each block, by their part of all blocks.
    """
    if arm.max_calls is None or arm.uses_cache:
        return 1.0
    legs = [index for index, leg in enumerate(plan.legs) if arm.name in leg.arms]
    known = {index: number for index in legs if (number := due(index)) is not None}
    blocks = sum(plan.legs[index].rounds for index in legs)
    budget = arm.max_calls * sum(plan.legs[index].rounds for index in known) / blocks if blocks else 0.0
    total = sum(known.values())
    return min(1.0, budget / total) if total else 1.0


def thinned_to(plan: RunPlan, arm: ArmPlan) -> float:
    """The share of its due requests that an arm makes."""
    due: dict[int, int | None] = {}
    for index, leg in enumerate(plan.legs):
        arrivals = _executor(leg, Share()).arrivals() if leg.requests is None else None
        due[index] = leg.requests if arrivals is None else len(arrivals)
    return thinning(plan, arm, due.get)


def _executor(leg: Leg, share: Share) -> Executor:
    return executor(Shape(stage=leg.stage, start_rate=leg.start_rate, process=share.process, processes=share.processes))


def _in_round(requests: int | None, turn: int, rounds: int) -> int | None:
    """A round's part of a number of requests: the first ones have one more."""
    return None if requests is None else requests // rounds + (turn < requests % rounds)
