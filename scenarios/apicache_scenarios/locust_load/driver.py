"""A worker's load: users as tasks of one event loop, in a thread of its own; what they measure, taken in slices."""

import asyncio
import itertools
import random
import threading
import time
from array import array
from collections.abc import Coroutine, Iterator
from typing import Any, Final, TypeVar

import msgspec

from apicache_scenarios.load.drawing import mixed
from apicache_scenarios.load.plan import ArmPlan, RunPlan
from apicache_scenarios.load.recorder import Recorder
from apicache_scenarios.load.recording import Latencies
from apicache_scenarios.load.result import Block, Pass, packed
from apicache_scenarios.load.scenario_cases import ScenarioSource
from apicache_scenarios.load.session import Ends
from apicache_scenarios.load.workload import Share
from apicache_scenarios.locust_load.load_file import LoadFile

_NANOSECONDS: Final = 1e9
_DRAWN: Final = 1024
Answer = TypeVar("Answer")
_SECONDS: Final = 30.0
"""How long the event loop may take to answer."""


class SlicedRecorder(Recorder):
    """A recorder whose requests go on while what has ended is taken."""

    planned = 0
    """Requests of an open loop that came due."""

    def taken(self, number: int, turn: int, since: tuple[int, int], pass_: Pass) -> Block:
        """What ended since the last time; `since` is the run's and the slice's start, in nanoseconds."""
        origin, begun = since
        lag = self.lag()
        block = Block(
            number=number,
            round=turn,
            arm=self._arm.name,
            pass_=pass_,
            stage=0,
            started=(begun - origin) / _NANOSECONDS,
            seconds=(self.now() - begun) / _NANOSECONDS,
            planned=None if lag is None else self.planned,
            series=self.series(),
            errors=self.errors,
            dropped=self.dropped,
            withheld=self.withheld,
            lag=None if lag is None else lag.encoded(),
            upstream_calls=self.calls,
            keys=packed(self.keys) if self.keys else None,
            sent=packed((at - origin) // 1000 for at in self.sent) if self.keys else None,
        )
        self._answered, self._errors, self._lag = {}, {}, Latencies()
        self._calls_before = self._arm.calls
        self.keys, self.sent = array("q"), array("q")
        self.planned = self.dropped = self.withheld = 0
        return block


class Driver:
    """One worker. Everything that it measures happens in its event loop; its methods are called from outside."""

    def __init__(self, file: LoadFile, plan: RunPlan, share: Share) -> None:
        """Open the application; raises InputError as `load_application` does."""
        self._file = file
        source = ScenarioSource(
            path=str(file.scenarios),
            application=file.application,
            working_directory=str(file.working_directory),
            directory=str(file.working_directory),
            population=plan.population,
        )
        self._workload = source.open([_shared(arm, share) for arm in plan.arms], share)
        self._random = random.Random(f"{plan.seed} {share.process}")  # noqa: S311 - spreads users' first sends
        self._keys = _drawn(plan, self._workload.groups, share)
        self._recorders = {
            name: SlicedRecorder(arm, is_open=file.rate_per_user is not None, keeps_trace=name == plan.traced)
            for name, arm in self._workload.arms.items()
        }
        cached = [arm.cache_state()["at_start"] for arm in self._workload.arms.values() if arm.uses_cache]
        self._pass: Pass = "warm" if "filled" in cached else "cold"
        self._users: dict[int, asyncio.Task[None]] = {}
        self._numbers, self._slices = itertools.count(), itertools.count()
        self._has_finished = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="apicache-load", daemon=True)
        self._thread.start()
        self._ask(self._workload.warm_up())
        self._origin = self._begun = time.perf_counter_ns()

    def begin(self, arm: str) -> int:
        """Have one more user of an arm; its number."""
        number = next(self._numbers)
        self._ask(self._begin(number, arm))
        return number

    async def _begin(self, number: int, arm: str) -> None:
        rate = self._file.rate_per_user
        recorder = self._recorders[arm]
        user = self._closed(arm, recorder) if rate is None else self._open(arm, recorder, rate)
        self._users[number] = asyncio.create_task(user)

    def end(self, number: int) -> None:
        """End a user, unless all have ended; its requests under way are dropped uncounted."""
        if not self._has_finished:
            self._ask(self._end([number]))

    async def _end(self, numbers: list[int]) -> None:
        users = [self._users.pop(number) for number in numbers if number in self._users]
        for user in users:
            user.cancel()
        if users:
            await asyncio.wait(users)

    def taken(self) -> list[Block]:
        """What ended since the last time, a block for each arm that had requests."""
        return self._ask(self._taken())

    async def _taken(self) -> list[Block]:
        turn, since = next(self._slices), (self._origin, self._begun)
        blocks = [
            recorder.taken(turn * len(self._recorders) + place, turn, since, self._pass)
            for place, recorder in enumerate(self._recorders.values())
        ]
        self._begun = time.perf_counter_ns()
        return [block for block in blocks if block.series or block.errors or block.dropped]

    def ends(self) -> Ends:
        """The caches' states, and what calls cost."""
        caches = {name: dict(arm.cache_state()) for name, arm in self._workload.arms.items()}
        return Ends(caches=caches, costs=dict(self._workload.costs()))

    def finish(self) -> list[Block]:
        """End all users; what was measured last. Nothing is measured afterwards."""
        self._has_finished = True
        self._ask(self._end(list(self._users)))
        return self.taken()

    def close(self) -> None:
        """Close the workload and the event loop."""
        self._has_finished = True
        self._ask(self._workload.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._workload.close()

    def _ask(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_SECONDS)

    async def _closed(self, arm: str, recorder: SlicedRecorder) -> None:
        while not self._workload.arms[arm].is_spent:
            await recorder.issue(next(self._keys))
            await asyncio.sleep(0)  # a hit never suspends: others have their turn

    async def _open(self, arm: str, recorder: SlicedRecorder, rate: float) -> None:
        """Requests as they come due, at a steady pace from a random moment on."""
        pace = _NANOSECONDS / rate
        due = recorder.now() + pace * self._random.random()
        async with asyncio.TaskGroup() as under_way:
            tasks: set[asyncio.Task[None]] = set()
            while not self._workload.arms[arm].is_spent:
                await asyncio.sleep(max(0.0, (due - recorder.now()) / _NANOSECONDS))
                recorder.planned += 1
                if self._file.max_in_flight is not None and len(tasks) >= self._file.max_in_flight:
                    recorder.drop()
                else:
                    task = under_way.create_task(recorder.issue_due(next(self._keys), int(due)))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                due += pace


def _shared(arm: ArmPlan, share: Share) -> ArmPlan:
    """The arm with this worker's part of the calls that an arm past the cache may make; a cached one shares its own."""
    if arm.uses_cache or arm.max_calls is None:
        return arm
    return msgspec.structs.replace(arm, max_calls=share.of(arm.max_calls))


def _drawn(plan: RunPlan, groups: Any, share: Share) -> Iterator[int]:
    """This worker's own draws: workers run at no common pace, so that arms do not share keys here."""
    draw = mixed(plan.keys, plan.population, plan.seed + share.process, groups)
    while True:
        yield from draw(_DRAWN).tolist()
